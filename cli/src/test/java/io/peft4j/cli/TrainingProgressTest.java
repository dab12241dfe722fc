package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.peft4j.train.TrainingListener.Step;
import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;

class TrainingProgressTest {
  private final StringWriter terminal = new StringWriter();

  @Test
  void aWholeBarIsOneLine() {
    try (TrainingProgress bar = new TrainingProgress(new PrintWriter(terminal))) {
      bar.onStep(new Step(0, 2, 0, 1.5, 0.01, 1));
      bar.onStep(new Step(1, 2, 0, 0.5, 0.01, 1));
    }
    assertThat(terminal.toString().lines().filter(l -> !l.isEmpty()))
        .allMatch(line -> line.startsWith("["))
        .last()
        .asString()
        .contains("step 2/2")
        .contains("loss 0.5000");
    assertThat(terminal.toString()).containsOnlyOnce(System.lineSeparator());
  }

  @Test
  void anErrorAfterHalfABarStandsOnItsOwnLine() {
    PrintWriter writer = new PrintWriter(terminal);
    try (TrainingProgress bar = new TrainingProgress(writer)) {
      bar.onStep(new Step(0, 2, 0, 1.5, 0.01, 1));
    }
    writer.println("peft4j: error: it broke");
    assertThat(terminal.toString()).contains(System.lineSeparator() + "peft4j: error: it broke");
  }

  @Test
  void noBarIsNoOutput() {
    new TrainingProgress(new PrintWriter(terminal)).close();
    assertThat(terminal.toString()).isEmpty();
  }
}
