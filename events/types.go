// SPDX-License-Identifier: Apache-2.0

package events

// TypeInfo is what the contract fixes about one event type.
type TypeInfo struct {
	// Type named.
	Type Type
	// Stream that stores it first; empty when it is never stored.
	Stream string
	// Relayed: decider hosts copy it from Stream into JOURNAL.
	Relayed bool
	// New returns an empty payload of the type.
	New func() Payload
}

// Types lists every event type of the contract, in the order of the
// documentation. The slice is fresh on every call.
func Types() []TypeInfo {
	return append([]TypeInfo(nil), typeTable...)
}

// Info returns what the contract fixes about t.
func Info(t Type) (TypeInfo, bool) {
	i, ok := typeIndex[t]
	if !ok {
		return TypeInfo{}, false
	}
	return typeTable[i], true
}

var typeTable = []TypeInfo{
	{TypeMeterReading, StreamJournal, false, func() Payload { return new(MeterReading) }},
	{TypeGridSignal, StreamInputs, true, func() Payload { return new(GridSignal) }},
	{TypeAIJob, StreamInputs, true, func() Payload { return new(AIJob) }},
	{TypeSiteConfig, StreamInputs, true, func() Payload { return new(SiteConfig) }},
	{TypeMarketQuote, StreamInputs, true, func() Payload { return new(MarketQuote) }},
	{TypeWorkerStatus, StreamJournal, false, func() Payload { return new(WorkerStatus) }},
	{TypeClockTick, StreamJournal, false, func() Payload { return new(ClockTick) }},
	{TypeJournalOpened, StreamInputs, true, func() Payload { return new(JournalOpened) }},
	{TypeDeciderActivated, StreamInputs, true, func() Payload { return new(DeciderActivated) }},
	{TypeDeciderCheckpoint, StreamCommands, false, func() Payload { return new(DeciderCheckpoint) }},
	{TypeCommandCurtail, StreamCommands, false, func() Payload { return new(CommandCurtail) }},
	{TypeCommandRamp, StreamCommands, false, func() Payload { return new(CommandRamp) }},
	{TypeCommandOutlet, StreamCommands, false, func() Payload { return new(CommandOutlet) }},
	{TypePermitRenewed, "", false, func() Payload { return new(PermitRenewed) }},
	{TypeDispatchDecided, StreamCommands, false, func() Payload { return new(DispatchDecided) }},
	{TypeHeadroomPublished, StreamCommands, false, func() Payload { return new(HeadroomPublished) }},
	{TypeCurtailmentMetered, StreamCommands, false, func() Payload { return new(CurtailmentMetered) }},
	{TypeUnitEscalated, StreamCommands, false, func() Payload { return new(UnitEscalated) }},
	{TypeOutletStatus, StreamJournal, false, func() Payload { return new(OutletStatus) }},
	{TypeOutletRequested, StreamInputs, true, func() Payload { return new(OutletRequested) }},
	{TypeWorkAssigned, StreamJobs, false, func() Payload { return new(WorkAssigned) }},
	{TypeGatewayStatus, StreamJobs, false, func() Payload { return new(GatewayStatus) }},
	{TypeShareFound, StreamShares, false, func() Payload { return new(ShareFound) }},
	{TypeShareSubmitted, StreamShares, false, func() Payload { return new(ShareSubmitted) }},
	{TypeShareAccepted, StreamShares, true, func() Payload { return new(ShareAccepted) }},
	{TypeShareRejected, StreamShares, true, func() Payload { return new(ShareRejected) }},
	{TypeShareUnknown, StreamShares, true, func() Payload { return new(ShareUnknown) }},
	{TypeBlockFound, StreamShares, true, func() Payload { return new(BlockFound) }},
	{TypeBlockMatured, StreamShares, true, func() Payload { return new(BlockMatured) }},
	{TypeBlockOrphaned, StreamShares, true, func() Payload { return new(BlockOrphaned) }},
	{TypePoolStatement, StreamInputs, true, func() Payload { return new(PoolStatement) }},
	{TypeEnergySettled, StreamRevenue, false, func() Payload { return new(EnergySettled) }},
	{TypeRevenueAccrued, StreamRevenue, false, func() Payload { return new(RevenueAccrued) }},
	{TypeRevenueSettled, StreamRevenue, false, func() Payload { return new(RevenueSettled) }},
	{TypeRevenueReconciled, StreamRevenue, false, func() Payload { return new(RevenueReconciled) }},
	{TypeCurtailmentSettled, StreamRevenue, false, func() Payload { return new(CurtailmentSettled) }},
	{TypeProgrammePerformed, StreamRevenue, false, func() Payload { return new(ProgrammePerformed) }},
	{TypeAlertRaised, StreamCommands, false, func() Payload { return new(AlertRaised) }},
	{TypeAlertCleared, StreamCommands, false, func() Payload { return new(AlertCleared) }},
	{TypeDeadLetter, StreamDeadLetter, false, func() Payload { return new(DeadLetter) }},
}

var typeIndex = func() map[Type]int {
	m := make(map[Type]int, len(typeTable))
	for i, t := range typeTable {
		m[t.Type] = i
	}
	return m
}()

func (*MeterReading) EventType() Type       { return TypeMeterReading }
func (*GridSignal) EventType() Type         { return TypeGridSignal }
func (*SiteConfig) EventType() Type         { return TypeSiteConfig }
func (*MarketQuote) EventType() Type        { return TypeMarketQuote }
func (*WorkerStatus) EventType() Type       { return TypeWorkerStatus }
func (*ClockTick) EventType() Type          { return TypeClockTick }
func (*JournalOpened) EventType() Type      { return TypeJournalOpened }
func (*DeciderActivated) EventType() Type   { return TypeDeciderActivated }
func (*DeciderCheckpoint) EventType() Type  { return TypeDeciderCheckpoint }
func (*CommandCurtail) EventType() Type     { return TypeCommandCurtail }
func (*CommandRamp) EventType() Type        { return TypeCommandRamp }
func (*PermitRenewed) EventType() Type      { return TypePermitRenewed }
func (*DispatchDecided) EventType() Type    { return TypeDispatchDecided }
func (*WorkAssigned) EventType() Type       { return TypeWorkAssigned }
func (*ShareFound) EventType() Type         { return TypeShareFound }
func (*ShareAccepted) EventType() Type      { return TypeShareAccepted }
func (*ShareRejected) EventType() Type      { return TypeShareRejected }
func (*ShareUnknown) EventType() Type       { return TypeShareUnknown }
func (*EnergySettled) EventType() Type      { return TypeEnergySettled }
func (*RevenueAccrued) EventType() Type     { return TypeRevenueAccrued }
func (*RevenueSettled) EventType() Type     { return TypeRevenueSettled }
func (*CurtailmentSettled) EventType() Type { return TypeCurtailmentSettled }
func (*ProgrammePerformed) EventType() Type { return TypeProgrammePerformed }
func (*AlertRaised) EventType() Type        { return TypeAlertRaised }
func (*AlertCleared) EventType() Type       { return TypeAlertCleared }
func (*DeadLetter) EventType() Type         { return TypeDeadLetter }
func (*GatewayStatus) EventType() Type      { return TypeGatewayStatus }
func (*ShareSubmitted) EventType() Type     { return TypeShareSubmitted }
func (*BlockFound) EventType() Type         { return TypeBlockFound }
func (*BlockMatured) EventType() Type       { return TypeBlockMatured }
func (*BlockOrphaned) EventType() Type      { return TypeBlockOrphaned }
func (*PoolStatement) EventType() Type      { return TypePoolStatement }
func (*RevenueReconciled) EventType() Type  { return TypeRevenueReconciled }
