// SPDX-License-Identifier: Apache-2.0

package events

func (*MeterReading) Validate() error      { return nil }
func (*GridSignal) Validate() error        { return nil }
func (*SiteConfig) Validate() error        { return nil }
func (*MarketQuote) Validate() error       { return nil }
func (*WorkerStatus) Validate() error      { return nil }
func (*ClockTick) Validate() error         { return nil }
func (*JournalOpened) Validate() error     { return nil }
func (*DeciderActivated) Validate() error  { return nil }
func (*DeciderCheckpoint) Validate() error { return nil }
func (*CommandCurtail) Validate() error    { return nil }
func (*CommandRamp) Validate() error       { return nil }
func (*PermitRenewed) Validate() error     { return nil }
func (*DispatchDecided) Validate() error   { return nil }
func (*WorkAssigned) Validate() error      { return nil }
func (*ShareFound) Validate() error        { return nil }
func (*ShareAccepted) Validate() error     { return nil }
func (*ShareRejected) Validate() error     { return nil }
func (*ShareUnknown) Validate() error      { return nil }
func (*EnergySettled) Validate() error     { return nil }
func (*RevenueAccrued) Validate() error    { return nil }
func (*RevenueSettled) Validate() error    { return nil }
func (*AlertRaised) Validate() error       { return nil }
func (*AlertCleared) Validate() error      { return nil }
func (*DeadLetter) Validate() error        { return nil }
