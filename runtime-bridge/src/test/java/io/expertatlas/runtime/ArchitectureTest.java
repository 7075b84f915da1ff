package io.expertatlas.runtime;

import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import org.junit.jupiter.api.Test;

class ArchitectureTest {
  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(new ImportOption.DoNotIncludeTests())
          .importPackages("io.expertatlas.runtime");

  @Test
  void packagesHaveNoCycles() {
    slices().matching("io.expertatlas.runtime.(*)..").should().beFreeOfCycles().check(CLASSES);
  }
}
