package io.peft4j.adapters.prompt;

import io.peft4j.RecipeException;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.linear.Checks;
import java.util.List;

/**
 * P-tuning (Liu et al. 2021, arXiv 2103.10385) as PEFT has it: prompt tuning whose vectors a small
 * network, the encoder, makes while they are trained.
 *
 * <p>A training state holds the encoder, an adapter folder only the vectors that it makes; its
 * configuration says what made them. An adapter that is loaded from a folder therefore has the
 * encoder {@link EncoderKind#NONE}: its vectors are used as they are, and trained themselves if it
 * is trained on.
 *
 * @param virtualTokens how many vectors
 * @param encoder what makes them
 * @param encoderHiddenSize the width inside the encoder; 0 for that of the model's embeddings
 * @param encoderNumLayers of the LSTM
 * @param encoderDropout the probability with which numbers are dropped between the LSTM's layers
 */
public record PTuning(
    int virtualTokens,
    EncoderKind encoder,
    int encoderHiddenSize,
    int encoderNumLayers,
    double encoderDropout,
    List<String> modulesToSave)
    implements PromptMethod {
  /** Also what PEFT notes for an MLP, whose layers it does not count. */
  private static final int USUAL_LAYERS = 2;

  public PTuning {
    Checks.atLeast("virtual_tokens", virtualTokens, 1);
    PromptMethod.checkHiddenSize(
        encoderHiddenSize, encoder != EncoderKind.NONE, "set encoder to mlp or lstm");
    Checks.atLeast("encoder_num_layers", encoderNumLayers, 1);
    if (!(encoderDropout >= 0 && encoderDropout < 1)) {
      throw new RecipeException("encoder_dropout must be from 0 to below 1, was " + encoderDropout);
    }
    if (encoder != EncoderKind.LSTM && encoderNumLayers != USUAL_LAYERS) {
      throw new RecipeException(
          "encoder_num_layers is %d, but counts the layers of an LSTM; leave it away, or set encoder to lstm"
              .formatted(encoderNumLayers));
    }
    if (encoderDropout != 0 && (encoder != EncoderKind.LSTM || encoderNumLayers == 1)) {
      throw new RecipeException(
          "encoder_dropout is %s, but acts between the layers of an LSTM only; leave it away, or set encoder to lstm and encoder_num_layers to at least 2"
              .formatted(encoderDropout));
    }
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** With an MLP as wide as the model. */
  public static PTuning tokens(int count) {
    return new PTuning(count, EncoderKind.MLP, 0, USUAL_LAYERS, 0, List.of());
  }

  /** With vectors that are trained themselves. */
  public static PTuning direct(int count, List<String> modulesToSave) {
    return new PTuning(count, EncoderKind.NONE, 0, USUAL_LAYERS, 0, modulesToSave);
  }

  @Override
  public String name() {
    return "p-tuning";
  }

  @Override
  public Depth depth() {
    return Depth.MODEL;
  }

  @Override
  public boolean hasNetwork() {
    return encoder != EncoderKind.NONE;
  }

  @Override
  public PTuning alone() {
    return direct(virtualTokens, modulesToSave);
  }

  @Override
  public void add(Attachment at) {
    VirtualTokens tokens = new VirtualTokens(at, virtualTokens);
    int size = Math.toIntExact(tokens.words().size());
    int hidden = encoderHiddenSize == 0 ? size : encoderHiddenSize;
    PromptNetwork network = new PromptNetwork(at, virtualTokens, size);
    String vectors =
        switch (encoder) {
          case MLP -> network.mlp(hidden);
          case LSTM -> network.lstm(hidden, encoderNumLayers, encoderDropout);
          case NONE ->
              PromptParts.parameter(
                  at, PromptParts.wordsAtRandom(at, tokens.words(), virtualTokens));
        };
    PromptParts.putInFront(at, tokens, vectors);
    PromptParts.saveWhole(at, modulesToSave);
  }
}
