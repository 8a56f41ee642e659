// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/tui"
	"github.com/ballast-energy/ballast/events"
)

// describe says an event in words, on one line; --json shows all of it.
func describe(ev *events.Event) string {
	switch d := ev.Data.(type) {
	case *events.MeterReading:
		s := watts(d.PowerWatts)
		if d.Quality != events.QualityGood {
			s += " " + string(d.Quality)
		}
		if d.Modelled {
			s += " (modelled)"
		}
		return s
	case *events.GridSignal:
		return describeSignal(d)
	case *events.AIJob:
		return describeJob(d)
	case *events.CommandCurtail:
		if d.AllUnitsWatts != nil {
			return fmt.Sprintf("every unit to %s because %s", watts(*d.AllUnitsWatts), d.Reason)
		}
		return fmt.Sprintf("%s because %s", describeUnits(d.Units), d.Reason)
	case *events.CommandRamp:
		return fmt.Sprintf("%s because %s", describeUnits(d.Units), d.Reason)
	case *events.DispatchDecided:
		bound := string(d.Binding)
		if d.BindingNode != "" {
			bound += " at " + d.BindingNode
		}
		return fmt.Sprintf("%s → %s, bound by %s; headroom %s = %s − AI %s − house %s − reserve %s",
			watts(d.PermittedBeforeWatts), watts(d.PermittedAfterWatts), bound, watts(d.HeadroomWatts),
			watts(d.UsableWatts), watts(d.AIWatts), watts(d.HouseWatts), watts(d.ReserveWatts))
	case *events.WorkerStatus:
		return describeStatus(d)
	case *events.PermitRenewed:
		return fmt.Sprintf("%s for %s, from status %d", describeUnits(d.Units), time.Duration(d.LeaseMilliseconds)*time.Millisecond, d.Counter)
	case *events.ClockTick:
		return time.Unix(d.Second, 0).UTC().Format("15:04:05")
	case *events.SiteConfig:
		s := fmt.Sprintf("limit %s, contracted %s, %s", watts(d.LimitWatts), watts(d.ContractedWatts), figures.Count(int64(len(d.Meters)), "meter"))
		if n := len(d.Nodes); n > 0 {
			s += ", " + figures.Count(int64(n), "node")
		}
		return s
	case *events.HeadroomPublished:
		return describeHeadroom(d)
	case *events.CurtailmentMetered:
		return describeMetered(d)
	case *events.UnitEscalated:
		return describeEscalated(d)
	case *events.CommandOutlet:
		return fmt.Sprintf("outlet %s %s because %s", d.Outlet, onOff(d.Off), d.Reason)
	case *events.OutletStatus:
		s := fmt.Sprintf("outlet %s is %s", d.Outlet, d.State)
		if d.Error != "" {
			s += "; " + d.Error
		}
		return s
	case *events.OutletRequested:
		s := fmt.Sprintf("outlet %s to be switched %s", d.Outlet, onOff(d.Off))
		if d.Reason != "" {
			s += ": " + d.Reason
		}
		return s
	case *events.MarketQuote:
		s := fmt.Sprintf("block %d, subsidy and fees %s", d.Height, sats((d.SubsidySats+d.FeesSats)*1000))
		if d.BTCPriceMicrousd > 0 {
			s += ", " + dollars(d.BTCPriceMicrousd) + " per bitcoin"
		}
		if d.NetworkOnly {
			s += ", by a node's template"
		}
		if d.Practice {
			s += " (practice)"
		}
		return s
	case *events.JournalOpened:
		return fmt.Sprintf("epoch %d by %s: %s", d.Epoch, d.OpenedBy, d.Reason)
	case *events.DeciderActivated:
		return fmt.Sprintf("%s version %s config %s speaks, activated by %s", d.Decider, d.Version, d.ConfigHash, d.ActivatedBy)
	case *events.DeciderCheckpoint:
		return fmt.Sprintf("%s version %s: state %s after sequence %d", d.Decider, d.Version, d.StateHash, d.Sequence)
	case *events.WorkAssigned:
		return fmt.Sprintf("job %s of %s", d.JobID, d.Gateway)
	case *events.ShareFound:
		s := fmt.Sprintf("difficulty %s by %s for job %s", d.Difficulty, d.Unit, d.JobID)
		if d.Modelled {
			s += " (modelled)"
		}
		return s
	case *events.ShareAccepted:
		return fmt.Sprintf("difficulty %s by %s (%s)", d.Difficulty, d.Unit, d.Payout.Basis)
	case *events.ShareRejected:
		return fmt.Sprintf("%s: %s by %s", d.Reason, d.Detail, d.Unit)
	case *events.RevenueAccrued:
		return describeAccrued(d)
	case *events.EnergySettled:
		return fmt.Sprintf("%s…%s AI %s, mining %s, house %s, unused %s of %s", d.IntervalStart.UTC().Format("15:04:05"), d.IntervalEnd.UTC().Format("15:04:05"),
			wattHours(d.AIMilliwattHours), wattHours(d.MiningMilliwattHours), wattHours(d.HouseMilliwattHours), wattHours(d.UnusedMilliwattHours), wattHours(d.ContractedMilliwattHours))
	case *events.RevenueSettled:
		return fmt.Sprintf("%s…%s margin %s, energy %s", d.IntervalStart.UTC().Format("15:04:05"), d.IntervalEnd.UTC().Format("15:04:05"), dollars(d.MarginMicrousd), dollars(-d.EnergyCostMicrousd))
	case *events.CurtailmentSettled:
		return describeCurtailment(d)
	case *events.ProgrammePerformed:
		return describePerformance(d)
	case *events.AlertRaised:
		return fmt.Sprintf("%s: %s → %s", d.Severity, d.Message, d.Remedy)
	case *events.AlertCleared:
		return d.Message
	case *events.DeadLetter:
		return fmt.Sprintf("%s (%s) %s", d.Subject, d.Reason, d.Detail)
	}
	if s, ok := describePool(ev.Data); ok {
		return s
	}
	b, err := json.Marshal(ev.Data)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// describeCurtailment names the line that cost most energy.
func describeCurtailment(d *events.CurtailmentSettled) string {
	var sum, net int64
	var most *events.CurtailmentLine
	for i := range d.Lines {
		l := &d.Lines[i]
		sum, net = sum+l.MilliwattHours, net+l.NetMicrousd
		if most == nil || l.MilliwattHours > most.MilliwattHours {
			most = l
		}
	}
	s := fmt.Sprintf("%s…%s forgone %s of %s", d.IntervalStart.UTC().Format("15:04:05"), d.IntervalEnd.UTC().Format("15:04:05"), wattHours(sum), wattHours(d.NameplateMilliwattHours))
	if most == nil {
		return s
	}
	s += fmt.Sprintf(", net %s, most for %s", dollars(net), most.Reason)
	if most.SignalID != "" {
		s += " (" + most.SignalID + ")"
	}
	return s
}

// describeStatus sums up the units of a status.
func describeStatus(d *events.WorkerStatus) string {
	var setpoint, power, modelled, mhs int64
	states := map[events.PermitState]int64{}
	unwell := int64(0)
	for i := range d.Units {
		u := &d.Units[i]
		setpoint, power, mhs = setpoint+u.SetpointWatts, power+u.PowerWatts, mhs+u.HashrateMHs
		states[u.State]++
		if !u.Healthy {
			unwell++
		}
		if u.Modelled || u.PowerModelled {
			modelled += u.PowerWatts
		}
	}
	parts := make([]string, 0, len(states))
	for state, n := range states {
		parts = append(parts, fmt.Sprintf("%d %s", n, state))
	}
	slices.Sort(parts)
	s := fmt.Sprintf("%s (%s): %s of %s permitted, %s", figures.Count(int64(len(d.Units)), "unit"), strings.Join(parts, ", "), modelledOf(power, modelled), watts(setpoint), tui.Hashrate(mhs))
	if unwell > 0 {
		s += fmt.Sprintf(", %d not healthy", unwell)
	}
	if d.Announce {
		s += ", announced"
	}
	if d.Leaving {
		s += ", leaving"
	}
	return s
}

// modelledOf labels power of which a part comes from a model.
func modelledOf(power, modelled int64) string {
	switch modelled {
	case 0:
		return watts(power)
	case power:
		return watts(power) + " (modelled)"
	}
	return watts(power) + " (" + watts(modelled) + " modelled)"
}

func describeUnits(units []events.UnitSetpoint) string {
	if len(units) == 1 {
		return units[0].Unit + " to " + watts(units[0].SetpointWatts)
	}
	sum := int64(0)
	for _, u := range units {
		sum += u.SetpointWatts
	}
	return fmt.Sprintf("%d units to %s together", len(units), watts(sum))
}

func describeAccrued(d *events.RevenueAccrued) string {
	s := fmt.Sprintf("%s: %s", figures.Count(d.SharesAccepted, "share"), valued(d.ValueMillisats, d.ValueMicrousd))
	if d.Payout.Basis != events.BasisLive {
		s += " (" + string(d.Payout.Basis) + ": no money)"
	}
	return s
}

// describeHeadroom shows the first nodes of the event.
func describeHeadroom(h *events.HeadroomPublished) string {
	const most = 4
	var b strings.Builder
	for i := range h.Nodes {
		n := &h.Nodes[i]
		if i == most {
			fmt.Fprintf(&b, ", and %d more", len(h.Nodes)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %s now, %s firm", n.Node, watts(n.HeadroomWatts), watts(n.FirmWatts))
		for _, f := range n.Firm {
			fmt.Fprintf(&b, ", %s in %s", watts(f.Watts), time.Duration(f.Seconds)*time.Second)
		}
		if n.BindingNode != n.Node {
			fmt.Fprintf(&b, " (bound at %s)", n.BindingNode)
		}
		if !n.MeterFresh {
			b.WriteString(" (meter silent)")
		}
	}
	return b.String()
}
