package io.peft4j.cli;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaCodeUnit;
import com.tngtech.archunit.core.domain.JavaField;
import com.tngtech.archunit.core.domain.JavaMember;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.lang.ArchCondition;
import com.tngtech.archunit.lang.ArchRule;
import com.tngtech.archunit.lang.ConditionEvents;
import com.tngtech.archunit.lang.SimpleConditionEvent;
import com.tngtech.archunit.lang.syntax.ArchRuleDefinition;
import java.util.Set;
import java.util.function.Function;
import org.junit.jupiter.api.Test;

/** The arrows between the modules. */
class ArchitectureTest {
  private static final String LOADERS = "io.peft4j.loaders..";
  private static final String ADAPTERS = "io.peft4j.adapters..";
  private static final String COMPRESS = "io.peft4j.compress..";
  private static final String CLI = "io.peft4j.cli..";

  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
          .importPackages("io.peft4j");

  private static void check(ArchRule rule) {
    rule.check(CLASSES);
  }

  private static final DescribedPredicate<JavaClass> CORE =
      DescribedPredicate.describe(
          "the core",
          c ->
              c.getPackageName().startsWith("io.peft4j")
                  && !c.getPackageName()
                      .matches("io\\.peft4j\\.(loaders|adapters|compress|cli)(\\..*)?"));

  @Test
  void coreDependsOnNoModule() {
    check(
        noClasses()
            .that(CORE)
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage(LOADERS, ADAPTERS, COMPRESS, CLI));
  }

  @Test
  void loadersDependOnCoreAlone() {
    check(
        noClasses()
            .that()
            .resideInAPackage(LOADERS)
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage(ADAPTERS, COMPRESS, CLI));
  }

  @Test
  void adaptersDependOnCoreAndLoaders() {
    check(
        noClasses()
            .that()
            .resideInAPackage(ADAPTERS)
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage(COMPRESS, CLI));
  }

  @Test
  void compressDoesNotKnowTheCommand() {
    check(
        noClasses()
            .that()
            .resideInAPackage(COMPRESS)
            .should()
            .dependOnClassesThat()
            .resideInAPackage(CLI));
  }

  @Test
  void onlyTheTorchEngineTouchesDjlsPyTorch() {
    check(
        noClasses()
            .that()
            .resideOutsideOfPackage("io.peft4j.engine.torch..")
            .should()
            .dependOnClassesThat()
            .resideInAPackage("ai.djl.pytorch.."));
  }

  @Test
  void theLibraryDoesNotPrint() {
    check(
        noClasses()
            .that()
            .resideOutsideOfPackage(CLI)
            .should()
            .accessField(System.class, "out")
            .orShould()
            .accessField(System.class, "err"));
  }

  @Test
  void noThirdPartyTypeInPublicSignatures() {
    check(
        ArchRuleDefinition.codeUnits()
            .that(CAN_BE_CALLED)
            .and()
            .areDeclaredInClassesThat()
            .arePublic()
            .and()
            .areDeclaredInClassesThat()
            .resideOutsideOfPackage(CLI)
            .should(haveOwnTypes(JavaCodeUnit::getAllInvolvedRawTypes)));
    check(
        ArchRuleDefinition.fields()
            .that(CAN_BE_CALLED)
            .and()
            .areDeclaredInClassesThat()
            .arePublic()
            .and()
            .areDeclaredInClassesThat()
            .resideOutsideOfPackage(CLI)
            .should(haveOwnTypes(JavaField::getAllInvolvedRawTypes)));
  }

  private static final DescribedPredicate<JavaMember> CAN_BE_CALLED =
      DescribedPredicate.describe(
          "are public or protected",
          member ->
              member.getModifiers().contains(JavaModifier.PUBLIC)
                  || member.getModifiers().contains(JavaModifier.PROTECTED));

  private static <T extends JavaMember> ArchCondition<T> haveOwnTypes(
      Function<T, Set<JavaClass>> types) {
    return new ArchCondition<>(
        "take and give types of the JDK, the project or DJL's NDArray family") {
      @Override
      public void check(T member, ConditionEvents events) {
        types.apply(member).stream()
            .map(JavaClass::getBaseComponentType)
            .filter(type -> !isOwn(type))
            .forEach(
                type ->
                    events.add(
                        SimpleConditionEvent.violated(
                            member, member.getFullName() + " has " + type.getName())));
      }
    };
  }

  private static boolean isOwn(JavaClass type) {
    return type.isPrimitive()
        || type.getPackageName().startsWith("java.")
        || type.getPackageName().startsWith("io.peft4j")
        || type.getPackageName().startsWith("ai.djl.ndarray");
  }
}
