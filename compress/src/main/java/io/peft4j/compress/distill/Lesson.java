package io.peft4j.compress.distill;

import io.peft4j.PeftException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.network.Initialisation;
import io.peft4j.site.LinearSite;
import io.peft4j.task.PooledHead;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/** All that one distillation compares: what the teacher is asked, and the terms of the loss. */
final class Lesson {
  private final Teacher teacher;
  private final Graph student;
  private final SplittableRandom random;
  private final Map<String, Teacher.Question> questions = new LinkedHashMap<>();
  private final Map<String, Tensor> projections = new LinkedHashMap<>();
  private final List<Function<UnaryOperator<String>, DistillationLoss.Part>> inner =
      new ArrayList<>();
  private final SoftTargets targets;

  /**
   * @throws PeftException if teacher or student lack what is to be compared
   */
  Lesson(Teacher teacher, Graph student, SoftTargets targets, InnerMatches matches, long seed) {
    this.teacher = teacher;
    this.student = student;
    this.targets = targets;
    random = new SplittableRandom(seed);
    ask(SoftTargets.TEACHER, PooledHead.LOGITS, false);
    if (matches.features() > 0) {
      LinearSite theirs = teacher.requiredHead();
      LinearSite own = Teacher.requiredHead(student);
      vectors(
          Teacher.FEATURES,
          own.input(),
          own.inFeatures(),
          theirs.input(),
          theirs.inFeatures(),
          false,
          matches.distance(),
          matches.features());
    }
    if (matches.hidden() > 0) {
      hidden(matches);
    }
    if (matches.relations() > 0 || matches.attention() > 0) {
      relations(matches);
    }
  }

  private void ask(String name, String value, boolean perToken) {
    questions.put(name, new Teacher.Question(value, perToken));
  }

  private void hidden(InnerMatches matches) {
    List<StackLayer> theirs = StackLayer.of(teacher.model().graph());
    List<StackLayer> own = StackLayer.of(student);
    if (own.size() > theirs.size()) {
      throw new PeftException(
          "the student has %d layers, the teacher %d; hidden states are learned from a teacher that has as many at least"
              .formatted(own.size(), theirs.size()));
    }
    for (int i = 1; i <= own.size(); i++) {
      StackLayer mine = own.get(i - 1);
      StackLayer other = theirs.get(Math.round((float) i * theirs.size() / own.size()) - 1);
      vectors(
          "teacher_hidden_" + i,
          mine.output(),
          mine.query().inFeatures(),
          other.output(),
          other.query().inFeatures(),
          true,
          matches.distance(),
          matches.hidden() / own.size());
    }
  }

  private void vectors(
      String name,
      String own,
      long ownSize,
      String theirs,
      long size,
      boolean perToken,
      Distance distance,
      double weight) {
    ask(name, theirs, perToken);
    String projection = projection(name, ownSize, size);
    add(weight, names -> new VectorMatch(distance, names.apply(own), name, projection, perToken));
  }

  private @Nullable String projection(String name, long ownSize, long size) {
    if (ownSize == size) {
      return null;
    }
    String projection = "projection." + name;
    projections.put(
        projection,
        Initialisation.XAVIER_UNIFORM.draw(
            random.split(), Math.toIntExact(ownSize), Math.toIntExact(size)));
    return projection;
  }

  private void relations(InnerMatches matches) {
    StackLayer theirs = last(teacher.model().graph());
    StackLayer own = last(student);
    List<LinearSite> own3 = List.of(own.query(), own.key(), own.value());
    List<LinearSite> theirs3 = List.of(theirs.query(), theirs.key(), theirs.value());
    for (LinearSite site : List.of(own.query(), own.value(), theirs.query(), theirs.value())) {
      if (site.outFeatures() % matches.heads() != 0) {
        throw new PeftException(
            "the %d outputs of '%s' cannot be split into %d heads; give another number of heads"
                .formatted(site.outFeatures(), site.path(), matches.heads()));
      }
    }
    List<String> names = List.of("teacher_query", "teacher_key", "teacher_value");
    for (int i = 0; i < names.size(); i++) {
      if (matches.relations() > 0 || i < 2) {
        ask(names.get(i), theirs3.get(i).output(), true);
      }
      if (matches.relations() > 0) {
        relation(matches.relations(), matches.heads(), own3, theirs3, names, i, i);
      }
    }
    if (matches.attention() > 0) {
      relation(matches.attention(), matches.heads(), own3, theirs3, names, 0, 1);
    }
  }

  private void relation(
      double weight,
      int heads,
      List<LinearSite> own,
      List<LinearSite> theirs,
      List<String> names,
      int left,
      int right) {
    RelationMatch.Side teachers =
        new RelationMatch.Side(names.get(left), names.get(right), theirs.get(left).outFeatures());
    add(
        weight,
        present ->
            new RelationMatch(
                heads,
                new RelationMatch.Side(
                    present.apply(own.get(left).output()),
                    present.apply(own.get(right).output()),
                    own.get(left).outFeatures()),
                teachers));
  }

  private static StackLayer last(Graph graph) {
    List<StackLayer> layers = StackLayer.of(graph);
    return layers.get(layers.size() - 1).apart(graph);
  }

  /**
   * @param term is given the names that values of the student have when an adapter is attached
   */
  private void add(double weight, Function<UnaryOperator<String>, DistillationTerm> term) {
    inner.add(names -> new DistillationLoss.Part(term.apply(names), weight));
  }

  Map<String, Teacher.Question> questions() {
    return questions;
  }

  /** A method that beside the given one trains the projections of this lesson. */
  AdapterMethod with(AdapterMethod method) {
    return projections.isEmpty() ? method : new Projected(method, projections);
  }

  /**
   * The loss on a student that an adapter has been attached to.
   *
   * @param adapted its graph
   */
  DistillationLoss loss(Graph adapted) {
    UnaryOperator<String> names = value -> present(adapted, value);
    List<DistillationLoss.Part> parts = new ArrayList<>();
    parts.add(new DistillationLoss.Part(targets, 1));
    inner.forEach(part -> parts.add(part.apply(names)));
    return new DistillationLoss(parts);
  }

  /** What stands, with the adapter, where a value of the student stood. */
  private String present(Graph adapted, String value) {
    for (Node user : student.nodes()) {
      int place = user.inputs().indexOf(value);
      if (place >= 0 && !user.is("Shape")) {
        return adapted.nodes().stream()
            .filter(node -> node.outputs().equals(user.outputs()))
            .findFirst()
            .map(node -> node.requiredInput(place))
            .orElse(value);
      }
    }
    return value;
  }

  /** A method with matrices that train beside it and do not come into the merged model. */
  private record Projected(AdapterMethod inner, Map<String, Tensor> projections)
      implements AdapterMethod {
    @Override
    public String name() {
      return inner.name();
    }

    @Override
    public AttachedAdapter attach(Graph base, String adapter, long seed) {
      AttachedAdapter attached = inner.attach(base, adapter, seed);
      GraphEditor editor = attached.graph().edit().tagging(adapter);
      projections.forEach((name, start) -> editor.initializer(name, start).train(name));
      return attached.withGraph(editor.build());
    }

    @Override
    public Graph merge(AttachedAdapter adapter) {
      return inner.merge(adapter);
    }
  }
}
