// SPDX-License-Identifier: Apache-2.0

// Package energy holds amounts of energy exactly. Power is whole watts and
// time whole nanoseconds, so energy is a whole number of watt-nanoseconds; an
// Amount keeps it as milliwatt-hours and the rest below one, which never gets
// lost between readings, intervals or corrections.
//
//	var a energy.Amount
//	a = a.Add(energy.Of(438_000, 1_000_000_000)) // 438 kW for one second
//	booked := a.Floor()                          // 121666 mWh
//	a = a.Sub(energy.Milliwatthours(booked))     // what is carried on
//
// # Concurrency
//
// An Amount is a plain value; everything here is safe for concurrent use.
package energy
