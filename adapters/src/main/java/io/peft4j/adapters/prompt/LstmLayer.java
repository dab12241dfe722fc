package io.peft4j.adapters.prompt;

import io.peft4j.adapters.compose.Attachment;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.Tensor;
import java.util.Map;
import java.util.stream.LongStream;

/**
 * A bidirectional LSTM layer (Hochreiter and Schmidhuber 1997) over a sequence of known length,
 * written out step by step: with the gates i, f, g, o = x W + b + h U + d of each direction,
 *
 * <pre>
 * c ← σ(f) c + σ(i) tanh(g),  h ← σ(o) tanh(c)
 * </pre>
 *
 * from c = h = 0. The tensors of all gates and both directions lie in one, W [4, 2, in, hidden], U
 * [4, 2, hidden, hidden], b and d [4, 2, 1, hidden], so that one product serves them all.
 */
final class LstmLayer {
  private static final String SCOPE = PromptNetwork.SCOPE + ".lstm_head";
  private static final int GATES = 4;
  private static final int DIRECTIONS = 2;

  private final Attachment at;
  private final PromptNetwork network;
  private final String name;
  private final int length;

  LstmLayer(Attachment at, PromptNetwork network, String name, int length) {
    this.at = at;
    this.network = network;
    this.name = name;
    this.length = length;
  }

  /** [length, in] to [length, 2 hidden]: what it read from the front, then from the back. */
  String add(String x, int in, int hidden) {
    String w = parameter("input.weight", in, hidden, hidden);
    String b = parameter("input.bias", 1, hidden, hidden);
    String u = parameter("hidden.weight", hidden, hidden, hidden);
    String d = parameter("hidden.bias", 1, hidden, hidden);
    String both =
        at.joined(
            SCOPE,
            0,
            at.reshaped(SCOPE, x, 1, length, in),
            at.reshaped(SCOPE, reversed(x), 1, length, in));
    // [4, 2, length, hidden]
    String read = at.node(SCOPE, "Add", at.node(SCOPE, "MatMul", both, w), b);
    String gates = at.node(SCOPE, "Add", read, d);
    String[] gate = new String[GATES];
    for (int i = 0; i < GATES; i++) {
      gate[i] = at.constant(SCOPE + ".gate", Tensor.scalar((long) i));
    }
    String[] states = new String[length];
    String h = null;
    String c = null;
    for (int step = 0; step < length; step++) {
      String now = gather(gates, 2, at.constant(SCOPE + ".step", Tensor.vector(step)));
      if (h != null) {
        now = at.node(SCOPE, "Add", now, at.node(SCOPE, "MatMul", h, u));
      }
      String kept = at.node(SCOPE, "Sigmoid", gather(now, 0, gate[1]));
      String added =
          at.node(
              SCOPE,
              "Mul",
              at.node(SCOPE, "Sigmoid", gather(now, 0, gate[0])),
              at.node(SCOPE, "Tanh", gather(now, 0, gate[2])));
      c = c == null ? added : at.node(SCOPE, "Add", at.node(SCOPE, "Mul", kept, c), added);
      String shown = at.node(SCOPE, "Sigmoid", gather(now, 0, gate[3]));
      h = at.node(SCOPE, "Mul", shown, at.node(SCOPE, "Tanh", c));
      states[step] = h;
    }
    // [2, length, hidden]
    String all = at.joined(SCOPE, 1, states);
    return at.joined(SCOPE, 1, gather(all, 0, gate[0]), reversed(gather(all, 0, gate[1])));
  }

  private String parameter(String part, int rows, int columns, int hidden) {
    Tensor start = at.uniform(1 / Math.sqrt(hidden), GATES, DIRECTIONS, rows, columns);
    return network.parameter(name + part, start);
  }

  private String reversed(String x) {
    long[] order = LongStream.range(0, length).map(i -> length - 1 - i).toArray();
    return gather(x, 0, at.constant(SCOPE + ".reversed", Tensor.vector(order)));
  }

  private String gather(String x, long axis, String indices) {
    return at.node(SCOPE, "Gather", Map.of("axis", Attribute.of(axis)), x, indices);
  }
}
