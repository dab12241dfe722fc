/** Handing a model over: checked ONNX files, and folders that DJL serves as they are. */
@NullMarked
package io.peft4j.compress.export;

import org.jspecify.annotations.NullMarked;
