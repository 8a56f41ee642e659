// SPDX-License-Identifier: Apache-2.0

// Package config is the configuration file of the ballast binary: YAML, every
// key documented by the example that `ballast config example` prints, unknown
// keys refused with their line, any scalar outside a list overridable from the
// environment (BALLAST_BUS_LISTEN for bus.listen).
//
// # Usage
//
//	c, err := config.Load("ballast.yaml", os.Environ())
//	site := c.Sites[0].SiteConfig() // the event that deciders read
//
// # Concurrency
//
// A Config is plain data: load it once, then only read it.
package config
