// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package hashengine

// canBind: whether threads can be bound to processors here.
const canBind = false

// bindThread reports that it cannot.
func bindThread([]int) error { return errCannotBind() }
