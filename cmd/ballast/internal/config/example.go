// SPDX-License-Identifier: Apache-2.0

package config

import _ "embed"

//go:embed example.yaml
var example []byte

// Example is a commented configuration with every key.
func Example() []byte { return append([]byte(nil), example...) }
