package io.peft4j.loaders.safetensors;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.peft4j.CheckpointFormatException;
import io.peft4j.graph.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * The index of a checkpoint in shards.
 *
 * @param file the index
 * @param shardOf the file name that holds each tensor, by the tensor's name
 */
record ShardIndex(Path file, Map<String, String> shardOf) {
  private static final JsonMapper JSON =
      JsonMapper.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  static ShardIndex read(Path file) {
    JsonNode root;
    try {
      root = JSON.readTree(Files.readAllBytes(file));
    } catch (JsonProcessingException e) {
      throw damaged(
          file, "it is not sound JSON: " + SafeTensorsHeader.oneLine(e.getOriginalMessage()));
    } catch (IOException e) {
      throw SafeTensors.unreadable(file, e);
    }
    if (!root.path("weight_map").isObject()) {
      throw damaged(file, "it has no object 'weight_map'");
    }
    Map<String, String> shardOf = new LinkedHashMap<>();
    for (Map.Entry<String, JsonNode> entry : root.path("weight_map").properties()) {
      String shard = entry.getValue().textValue();
      if (shard == null || !isPlainName(shard)) {
        throw damaged(
            file,
            "weight_map of '%s' is %s, which is not the name of a file in the same folder"
                .formatted(entry.getKey(), SafeTensorsHeader.oneLine(entry.getValue().toString())));
      }
      shardOf.put(entry.getKey(), shard);
    }
    return new ShardIndex(file, shardOf);
  }

  private static boolean isPlainName(String name) {
    return !name.isBlank()
        && !name.contains("/")
        && !name.contains("\\")
        && !name.contains("..")
        && !name.contains(":")
        && name.chars().noneMatch(Character::isISOControl);
  }

  SafeTensorsFile load() {
    Map<String, SafeTensorsFile> shards = new TreeMap<>();
    for (String shard : new TreeSet<>(shardOf.values())) {
      shards.put(shard, SafeTensors.read(file.resolveSibling(shard)));
    }
    for (Map.Entry<String, String> entry : shardOf.entrySet()) {
      SafeTensorsFile shard = shards.get(entry.getValue());
      if (shard == null || !shard.tensors().containsKey(entry.getKey())) {
        throw damaged(
            file,
            "tensor '%s' is not in %s, where the index says it is"
                .formatted(entry.getKey(), entry.getValue()));
      }
    }
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    Map<String, String> metadata = new LinkedHashMap<>();
    shards.forEach(
        (name, shard) -> {
          for (Map.Entry<String, Tensor> entry : shard.tensors().entrySet()) {
            if (!name.equals(shardOf.get(entry.getKey()))) {
              throw damaged(
                  file,
                  "tensor '%s' of %s is not listed in the index for that file"
                      .formatted(entry.getKey(), name));
            }
            tensors.put(entry.getKey(), entry.getValue());
          }
          shard.metadata().forEach(metadata::putIfAbsent);
        });
    return new SafeTensorsFile(file, tensors, metadata);
  }

  private static CheckpointFormatException damaged(Path file, String what) {
    return new CheckpointFormatException(
        file + ": " + what + "; fetch the index and its shards again");
  }
}
