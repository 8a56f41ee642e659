// SPDX-License-Identifier: Apache-2.0

// Command ballast turns contracted but unused power of an AI data centre into
// Bitcoin and gives it back at once. One binary: a demo site (`ballast up`),
// each role of a real one (`ballast serve --role …`, `ballast worker`), and
// the tools of its operators (`signal`, `stop`, `watch`, `revenue`, `journal`,
// `doctor`). `ballast --help` lists the verbs, each with examples.
//
// Every verb has its file, or files that begin with its name; every role is one fx module in package roles.
package main
