package io.peft4j.loaders.huggingface;

import static com.google.common.base.Preconditions.checkState;

import com.google.common.collect.ImmutableSet;
import com.google.common.primitives.Floats;
import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.Tensor;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Rotary positions (Su et al. 2021, arXiv 2104.09864): element i of a head and element i + width/2
 * are turned by position · frequency(i). Frequencies are computed in float32 as the reference
 * library does, since positions multiply their rounding.
 */
final class RotaryEmbedding {
  private final GraphBlocks blocks;
  private final String module;
  private final int width;
  private final float[] frequencies;
  private @Nullable String cosines;
  private @Nullable String sines;

  private RotaryEmbedding(GraphBlocks blocks, String module, int width, float[] frequencies) {
    this.blocks = blocks;
    this.module = module;
    this.width = width;
    this.frequencies = frequencies;
  }

  /**
   * Reads {@code rope_theta} and {@code rope_scaling}, or {@code rope_parameters}, which holds
   * both.
   *
   * @param width of a head
   */
  static RotaryEmbedding of(ModelConfig config, GraphBlocks blocks, String module, int width) {
    if (width % 2 != 0) {
      throw new UnsupportedModelException(
          "%s: heads of %d elements cannot be turned in pairs; head_dim must be even"
              .formatted(config.file(), width));
    }
    ModelConfig together = config.section("rope_parameters");
    ModelConfig scaling = together == null ? config.section("rope_scaling") : together;
    double theta = (together == null ? config : together).number("rope_theta", 10000);
    int positions = config.count("max_position_embeddings", 2048);
    float[] plain = new float[width / 2];
    for (int i = 0; i < plain.length; i++) {
      plain[i] = 1 / (float) Math.pow((float) theta, (float) (2 * i) / width);
    }
    return new RotaryEmbedding(blocks, module, width, scaled(plain, scaling, positions));
  }

  private static float[] scaled(float[] plain, @Nullable ModelConfig scaling, int positions) {
    if (scaling == null) {
      return plain;
    }
    String key = scaling.isSet("rope_type") ? "rope_type" : "type";
    String kind = scaling.choice(key, "default", ImmutableSet.of("default", "linear", "llama3"));
    scaling.harmless("type"); // the older name, which may stand beside the newer one
    return switch (kind) {
      case "linear" -> slowed(plain, (float) scaling.positive("factor"));
      case "llama3" -> llama3(plain, scaling, positions);
      default -> plain;
    };
  }

  private static float[] slowed(float[] plain, float factor) {
    float[] result = plain.clone();
    for (int i = 0; i < result.length; i++) {
      result[i] /= factor;
    }
    return result;
  }

  /** Slows low frequencies and keeps high ones, with a slope between, as Llama 3.1 does. */
  private static float[] llama3(float[] plain, ModelConfig scaling, int positions) {
    float factor = (float) scaling.positive("factor");
    float low = (float) scaling.positive("low_freq_factor");
    float high = (float) scaling.positive("high_freq_factor");
    int context = scaling.count("original_max_position_embeddings", positions);
    float[] slow = slowed(plain, factor);
    float[] result = plain.clone();
    for (int i = 0; i < result.length; i++) {
      float wavelength = (float) (2 * Math.PI) / plain[i];
      if (wavelength > context / low) {
        result[i] = slow[i];
      } else if (wavelength >= context / high) {
        float share = (context / wavelength - low) / (high - low);
        result[i] = (1 - share) * slow[i] + share * plain[i];
      }
    }
    return result;
  }

  /**
   * Computes the angles of all positions, once a model.
   *
   * @param ids [batch, sequence]
   */
  void prepare(String ids) {
    float[] twice = Floats.concat(frequencies, frequencies);
    String positions = blocks.cast(module, blocks.positions(module, ids));
    String axis = blocks.constant(module, "axis", Tensor.vector(1));
    String column = blocks.node(module, "Unsqueeze", positions, axis);
    Tensor row = Tensor.ofFloats(new long[] {1, width}, twice);
    String angles = blocks.node(module, "Mul", column, blocks.constant(module, "inv_freq", row));
    cosines = blocks.node(module, "Cos", angles);
    sines = blocks.node(module, "Sin", angles);
  }

  /**
   * Turns heads by their positions.
   *
   * @param place the module that the nodes belong to
   * @param x [batch, heads, sequence, width]
   */
  String turn(String place, String x) {
    checkState(cosines != null && sines != null, "prepare comes first");
    List<String> halves = blocks.split(place, x, width / 2, 2);
    String opposite = blocks.node(place, "Neg", halves.get(1));
    Map<String, Attribute> lastAxis = Map.of("axis", Attribute.of(-1));
    String swapped = blocks.node(place, "Concat", lastAxis, opposite, halves.get(0));
    return blocks.node(
        place,
        "Add",
        blocks.node(place, "Mul", x, cosines),
        blocks.node(place, "Mul", swapped, sines));
  }
}
