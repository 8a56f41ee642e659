// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"errors"
	"testing"

	"github.com/klauspost/cpuid/v2"
)

// TestKernelsOnALesserProcessor: what the processor lacks is said, the kernel
// is not used, and another takes its place.
func TestKernelsOnALesserProcessor(t *testing.T) {
	for _, c := range []struct {
		kernel string
		lacks  cpuid.FeatureID
	}{
		{"shani_vr5", cpuid.SHA},
		{"shani_n4", cpuid.SHA},
		{"shani_vr5", cpuid.AVX2},
		{"avx512", cpuid.AVX512F},
		{"avx512", cpuid.AVX512BW},
		{"avx2", cpuid.AVX2},
	} {
		had := cpuid.CPU.Has(c.lacks)
		cpuid.CPU.Disable(c.lacks)
		k, err := KernelByName(c.kernel)
		if err != nil {
			t.Fatal(err)
		}
		_, err = k.New()
		choice, chooseErr := chooseFrom(kernels)
		if had {
			cpuid.CPU.Enable(c.lacks)
		}
		if !errors.Is(err, ErrNoInstructions) {
			t.Errorf("%s without %s: %v", c.kernel, c.lacks, err)
		}
		if chooseErr != nil || !errors.Is(choice.Refused[c.kernel], ErrNoInstructions) {
			t.Errorf("the choice without %s: %v, refused %v", c.lacks, chooseErr, choice.Refused)
		}
	}
}
