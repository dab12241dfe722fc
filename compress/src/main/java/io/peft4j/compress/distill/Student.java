package io.peft4j.compress.distill;

import io.peft4j.PretrainedModel;
import io.peft4j.data.Dataset;
import io.peft4j.train.Recipe;

/** How a student is made before it learns. */
public sealed interface Student permits FeedForwardStudent, LayerStudent, CheckpointStudent {
  /**
   * Makes the student, untrained, with the output {@code logits} and the teacher's labels.
   *
   * @param rows texts that choices are measured on
   * @param seed decides what starts at random
   */
  PretrainedModel build(Teacher teacher, Dataset rows, long seed);

  /** The training that suits it. */
  Recipe recipe();

  /**
   * How many further texts for each text suit it; fewer where there are many rows.
   *
   * @param rows of the training data
   */
  int copies(int rows);
}
