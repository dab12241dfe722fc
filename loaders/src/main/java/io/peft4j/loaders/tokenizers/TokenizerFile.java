package io.peft4j.loaders.tokenizers;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.google.common.collect.ImmutableSet;
import io.peft4j.CheckpointFormatException;
import java.io.IOException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * What is needed of a tokenizer.json before the native library has it.
 *
 * @param padId the id in its padding section, else of its pad token, else 0
 */
record TokenizerFile(long padId) {
  private static final JsonFactory JSON = new JsonFactory();

  private static final ImmutableSet<String> PAD_TOKENS =
      ImmutableSet.of(
          "[PAD]", "<pad>", "<PAD>", "<|pad|>", "<|padding|>", "<|finetune_right_pad_id|>");

  /**
   * @throws CheckpointFormatException if the file holds no JSON object
   */
  static TokenizerFile parse(Path file, byte[] bytes) {
    long fromSection = -1;
    long fromToken = -1;
    try (JsonParser json = JSON.createParser(bytes)) {
      if (json.nextToken() != JsonToken.START_OBJECT) {
        throw damaged(file, "it holds no JSON object");
      }
      while (json.nextToken() != JsonToken.END_OBJECT) {
        String key = json.currentName();
        json.nextToken();
        if (key.equals("padding") && json.currentToken() == JsonToken.START_OBJECT) {
          fromSection = padIdOfSection(json);
        } else if (key.equals("added_tokens") && json.currentToken() == JsonToken.START_ARRAY) {
          fromToken = padIdOfTokens(json);
        } else {
          json.skipChildren();
        }
      }
    } catch (JsonProcessingException e) {
      throw damaged(file, "it is not sound JSON: " + oneLine(e.getOriginalMessage()));
    } catch (IOException e) {
      throw damaged(file, "it cannot be parsed: " + oneLine(e.getMessage()));
    }
    return new TokenizerFile(Math.max(0, fromSection >= 0 ? fromSection : fromToken));
  }

  private static long padIdOfSection(JsonParser json) throws IOException {
    long id = -1;
    while (json.nextToken() != JsonToken.END_OBJECT) {
      String key = json.currentName();
      json.nextToken();
      if (key.equals("pad_id")) {
        id = json.getValueAsLong(-1);
      }
      json.skipChildren();
    }
    return id;
  }

  private static long padIdOfTokens(JsonParser json) throws IOException {
    long found = -1;
    while (json.nextToken() != JsonToken.END_ARRAY) {
      long id = -1;
      String content = "";
      if (json.currentToken() != JsonToken.START_OBJECT) {
        json.skipChildren();
        continue;
      }
      while (json.nextToken() != JsonToken.END_OBJECT) {
        String key = json.currentName();
        json.nextToken();
        if (key.equals("id")) {
          id = json.getValueAsLong(-1);
        } else if (key.equals("content")) {
          content = json.getValueAsString("");
        }
        json.skipChildren();
      }
      if (found < 0 && PAD_TOKENS.contains(content)) {
        found = id;
      }
    }
    return found;
  }

  private static CheckpointFormatException damaged(Path file, String what) {
    return new CheckpointFormatException(file + ": " + what + "; fetch the file again");
  }

  static String oneLine(@Nullable String text) {
    String line = text == null ? "no reason given" : text.replaceAll("\\s+", " ");
    return line.length() > 200 ? line.substring(0, 200) + "..." : line;
  }
}
