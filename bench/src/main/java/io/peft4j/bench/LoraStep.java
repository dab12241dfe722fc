package io.peft4j.bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.Checkpoints;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The LoRA step of {@code bench/peer/lora_step.py}: MiniLM from its SafeTensors folder, trained as
 * {@link LoraTraining} does. Prints one line of JSON.
 */
public final class LoraStep {
  private LoraStep() {}

  /**
   * @param args the model's folder, and how many steps to time
   */
  public static void main(String[] args) throws IOException {
    StepTimes times =
        LoraTraining.run(Checkpoints.open(Path.of(args[0])), false, Integer.parseInt(args[1]));
    Map<String, Object> result = new LinkedHashMap<>();
    result.put("tool", "peft4j");
    result.put("stepMillis", times.medianMillis());
    result.put("startupSeconds", times.startupSeconds());
    result.put("peakMemoryMegabytes", OwnProcess.peakMegabytes());
    System.out.println(new ObjectMapper().writeValueAsString(result));
  }
}
