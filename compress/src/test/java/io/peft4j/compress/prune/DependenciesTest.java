package io.peft4j.compress.prune;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.Checkpoints;
import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Small graphs in which units pass one operator; cutting is held against masking. */
class DependenciesTest {
  private final GraphEditor editor = new GraphEditor("small");
  private final Random random = new Random(1);

  private Tensor weight(long... shape) {
    float[] values = new float[Math.toIntExact(Tensor.elements(shape))];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return Tensor.ofFloats(shape, values);
  }

  private String product(String x, String name, long in, long out) {
    editor.initializer(name, weight(in, out));
    return editor.node("/" + name, "MatMul", List.of(x, name));
  }

  private Graph finished(String value) {
    editor.add(Node.of("/last", "Identity", List.of(value), List.of("y"), Map.of()));
    return editor.output(Value.of("y", DType.FLOAT32, "batch", 3)).build();
  }

  /** The graph without units 1 and 4 of the axis, which every entry of it is one of. */
  private static Graph without(Graph graph, String initializer, int axis) {
    Dependencies dependencies = new Dependencies(graph, ValueShapes.of(graph));
    Axis start = new Axis(initializer, axis);
    int size = dependencies.shapes().size(start);
    Map<Axis, int[]> reach = dependencies.follow(start, IntStream.range(0, size).toArray());
    BitSet gone = new BitSet();
    gone.set(1);
    gone.set(4);
    Block block = new Block(Structure.NEURONS, "block", size, reach);
    return new Removal(Map.of(block, gone)).apply(dependencies).graph();
  }

  private String input(Object... sizes) {
    editor.input(Value.of("x", DType.FLOAT32, sizes));
    return "x";
  }

  @Test
  void joinedPartsLoseTheirOwn() {
    String x = input("batch", 5);
    String joined =
        editor.node(
            "/join",
            "Concat",
            List.of(product(x, "a", 5, 6), product(x, "b", 5, 7)),
            Map.of("axis", Attribute.of(1L)));
    Graph cut = without(finished(product(joined, "c", 13, 3)), "a", 1);
    assertThat(cut.initializer("a").shape()).containsExactly(5, 4);
    assertThat(cut.initializer("b").shape()).containsExactly(5, 7);
    assertThat(cut.initializer("c").shape()).containsExactly(11, 3);
  }

  @Test
  void partsOfASplitLoseTheirOwn() {
    String x = input("batch", 5);
    String whole = product(x, "a", 5, 13);
    editor.initializer("sizes", Tensor.vector(6, 7));
    editor.add(
        Node.of(
            "/split",
            "Split",
            List.of(whole, "sizes"),
            List.of("left", "right"),
            Map.of("axis", Attribute.of(-1L))));
    String sum =
        editor.node(
            "/sum", "Add", List.of(product("left", "b", 6, 3), product("right", "c", 7, 3)));
    Graph cut = without(finished(sum), "b", 0);
    assertThat(cut.initializer("a").shape()).containsExactly(5, 11);
    assertThat(cut.initializer("b").shape()).containsExactly(4, 3);
    assertThat(cut.initializer("c").shape()).containsExactly(7, 3);
  }

  @Test
  void slicesMoveWithWhatIsLeft() {
    String x = input("batch", 5);
    String whole = product(x, "a", 5, 12);
    String half =
        editor.node(
            "/half",
            "Slice",
            List.of(
                whole,
                editor.constant("from", Tensor.vector(6)),
                editor.constant("to", Tensor.vector(Long.MAX_VALUE)),
                editor.constant("axes", Tensor.vector(1))));
    String other =
        editor.node(
            "/other",
            "Slice",
            List.of(
                whole,
                editor.constant("from", Tensor.vector(0)),
                editor.constant("to", Tensor.vector(6)),
                editor.constant("axes", Tensor.vector(-1))));
    String gated = editor.node("/gate", "Mul", List.of(half, other));
    Graph cut = without(finished(product(gated, "b", 6, 3)), "b", 0);
    assertThat(cut.initializer("a").shape()).containsExactly(5, 8);
  }

  @Test
  void aWeightThatIsUsedTwiceIsCutForBoth() {
    String x = input("batch", 6);
    String first = editor.node("/act", "Relu", List.of(product(x, "a", 6, 6)));
    String again = editor.node("/again", "MatMul", List.of(first, "a"));
    assertThatThrownBy(() -> without(finished(product(again, "b", 6, 3)), "a", 1))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining("input 'x' of the model would change its size");
  }

  @Test
  void convolutionOfEachChannelByItselfLosesGroups() {
    String x = input("batch", 2, 6, 6);
    editor.initializer("a", weight(8, 2, 3, 3));
    editor.initializer("each", weight(8, 1, 3, 3));
    editor.initializer("c", weight(3, 8, 1, 1));
    String first = editor.node("/a", "Conv", List.of(x, "a"));
    String each =
        editor.node("/each", "Conv", List.of(first, "each"), Map.of("group", Attribute.of(8L)));
    String last = editor.node("/c", "Conv", List.of(each, "c"));
    editor.add(Node.of("/y", "GlobalAveragePool", List.of(last), List.of("y"), Map.of()));
    Graph graph = editor.output(Value.of("y", DType.FLOAT32, "batch", 3, 1, 1)).build();
    Graph cut = without(graph, "a", 0);
    assertThat(cut.initializer("each").shape()).containsExactly(6, 1, 3, 3);
    assertThat(cut.initializer("c").shape()).containsExactly(3, 6, 1, 1);
  }

  @Test
  void whatCannotBeToldApartIsRefusedByName() {
    String x = input("batch", 5);
    String shares =
        editor.node(
            "/shares",
            "Softmax",
            List.of(product(x, "a", 5, 6)),
            Map.of("axis", Attribute.of(-1L)));
    assertThatThrownBy(() -> without(finished(product(shares, "b", 6, 3)), "a", 1))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining("Softmax '/shares' cannot do with fewer entries");
  }

  @Test
  void channelsThatAreAddedAreOneBlock() {
    Graph resnet =
        Checkpoints.open(Path.of("src/test/resources/onnx/resnet-bn/model.onnx")).graph();
    Dependencies dependencies = new Dependencies(resnet, ValueShapes.of(resnet));
    List<Block> blocks = Blocks.of(dependencies, Structure.CHANNELS);
    long convolutions = resnet.nodes().stream().filter(n -> n.is("Conv")).count();
    assertThat((long) blocks.size()).isLessThan(convolutions);
    long filters =
        blocks.get(0).reach().keySet().stream()
            .filter(a -> a.axis() == 0 && resnet.initializers().containsKey(a.value()))
            .filter(a -> resnet.initializer(a.value()).rank() == 4)
            .count();
    assertThat(filters).isGreaterThan(1);
  }
}
