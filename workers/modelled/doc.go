// SPDX-License-Identifier: Apache-2.0

// Package modelled stands in for machines that are not there: ASICs by their
// nameplate, with the time they take to fall and to boot, and the meters that
// would see them. Everything it says is labelled as modelled.
//
// # Usage
//
//	plant, err := modelled.NewPlant(modelled.PlantConfig{Site: "demo"}, bus)
//	fleet, err := plant.NewFleet(modelled.FleetConfig{
//		Agent: "hall-a", Count: 200, Class: modelled.AntminerS21, Meter: "mining-a",
//	})
//	a, err := agent.New(agent.Config{Site: "demo", Agent: "hall-a"}, bus, fleet)
//	go plant.Run(ctx)
//	err = a.Run(ctx)
//
// # The model
//
// A machine is set to the highest of its power levels that the order allows.
// Down, its draw falls in a straight line to the new level within the fall
// time; hashing drops at once. Up, it draws the new level at once; coming from
// 0 W it hashes only after the boot time, from a level that sleeps after the
// wake time. Each machine has a draw, fall time
// and boot time of its own, a little off the nameplate's, from the plant's
// seed; it never draws more than it was told.
//
// Shares are a Poisson process with the rate that hash rate and job difficulty
// give, from the same seed. A meter reads the sum of its machines' draws and
// their energy, exactly, at the same instants.
//
// For tests of what relies on machines, a machine can be made to acknowledge
// and go on hashing, or to report itself broken, and a meter to freeze.
//
// # Concurrency properties
//
// One goroutine (Plant.Run) advances any number of machines; it needs no
// goroutine per machine. Methods of Plant and Fleet may be called from
// anywhere.
package modelled
