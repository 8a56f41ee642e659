// SPDX-License-Identifier: Apache-2.0

//go:build !race

package hashengine

const raceDetector = false
