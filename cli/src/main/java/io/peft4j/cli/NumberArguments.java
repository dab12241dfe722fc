package io.peft4j.cli;

import com.google.common.primitives.Doubles;
import com.google.common.primitives.Ints;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Numbers that only some values make sense for; any other is wrong usage. */
final class NumberArguments {
  private NumberArguments() {}

  /** A largest difference to accept: 0 or more. */
  static final class Tolerance implements ITypeConverter<Double> {
    @Override
    public Double convert(String text) {
      Double value = Doubles.tryParse(text);
      if (value == null || !(value >= 0)) {
        throw new TypeConversionException("'" + text + "' is not a number from 0 up");
      }
      return value;
    }
  }

  /** A count: 1 or more. */
  static final class Count implements ITypeConverter<Integer> {
    @Override
    public Integer convert(String text) {
      Integer value = Ints.tryParse(text);
      if (value == null || value < 1) {
        throw new TypeConversionException("'" + text + "' is not a whole number from 1 up");
      }
      return value;
    }
  }
}
