// SPDX-License-Identifier: Apache-2.0

// Package gateway joins one upstream, a pool account or a node, with the bus:
// work goes out to agents as events, shares come back as events, each share is
// checked, submitted once and given exactly one verdict.
package gateway
