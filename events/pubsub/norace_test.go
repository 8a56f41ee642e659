// SPDX-License-Identifier: Apache-2.0

//go:build !race

package pubsub_test

const raceDetector = false
