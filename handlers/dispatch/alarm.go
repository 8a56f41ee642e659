// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"github.com/ballast-energy/ballast/events"
)

// Alert ids begin with the kind, then the meter, agent, unit or node.
const (
	alarmMeter   = "meter-stale"
	alarmStuck   = "meter-stuck"
	alarmSilent  = "agent-silent"
	alarmFollow  = "unit-not-following"
	alarmMetered = "metered-above-permit"
	alarmFlood   = "signal-flood"
	alarmCrowd   = "too-many-workers"
	alarmClock   = "clock-skew"
	alarmHome    = "unit-without-node"
	alarmTree    = "tree-balance"
	alarmBroken  = "site-config"
	alarmLow     = "meter-below-work"
	alarmIdle    = "work-below-meter"
	alarmUnit    = "meter-unit"
	alarmJobs    = "ai-job"
	// A signal for a node that is not known, and a silent issuer.
	alarmAstray    = "signal-astray"
	alarmProgramme = "programme-silent"
	alarmStrange   = "unexplained-mining"
	alarmPage      = "people-must-act"
	alarmOutlet    = "outlet-not-switched"
)

// maxOpenAlerts of one kind that are raised one by one; the rest share one.
const maxOpenAlerts = 20

// alarm counts the open alerts of one kind.
type alarm struct {
	// Open alerts raised one by one.
	Open int64 `json:"open,omitempty"`
	// Many: the shared alert for all beyond them is raised.
	Many bool `json:"many,omitempty"`
}

// alarms of every kind.
type alarms struct {
	Meter   alarm `json:"meter"`
	Stuck   alarm `json:"stuck"`
	Silent  alarm `json:"silent"`
	Follow  alarm `json:"follow"`
	Metered alarm `json:"metered"`
	Flood   alarm `json:"flood"`
	Crowd   alarm `json:"crowd"`
	Clock   alarm `json:"clock"`
	Home    alarm `json:"home,omitzero"`
	Tree    alarm `json:"tree,omitzero"`
	Broken  alarm `json:"broken,omitzero"`
	Low     alarm `json:"low,omitzero"`
	Idle    alarm `json:"idle,omitzero"`
	Unit    alarm `json:"unit,omitzero"`
	Jobs    alarm `json:"jobs,omitzero"`
	Astray  alarm `json:"astray,omitzero"`
	// Programme whose issuer is silent.
	Programme alarm `json:"programme,omitzero"`
	Strange   alarm `json:"strange,omitzero"`
	Page      alarm `json:"page,omitzero"`
	Outlet    alarm `json:"outlet,omitzero"`
}

func (a *alarms) hash() uint64 {
	h := uint64(0)
	// The younger kinds come first: a site without such alerts keeps the digest
	// that it had before there were any.
	for _, k := range [...]*alarm{&a.Strange, &a.Page, &a.Outlet, &a.Unit, &a.Low, &a.Idle, &a.Jobs, &a.Astray, &a.Programme, &a.Broken, &a.Tree, &a.Home, &a.Stuck, &a.Meter, &a.Silent, &a.Follow, &a.Metered, &a.Flood, &a.Crowd, &a.Clock} {
		v := uint64(k.Open) << 1
		if k.Many {
			v |= 1
		}
		h = h*1_000_003 + v
	}
	return h
}

// raiseAlert raises an alert unless flag says that it is raised; beyond
// maxOpenAlerts of the kind one shared alert stands for the rest.
func (d *Dispatch) raiseAlert(k *alarm, flag *bool, kind, what string, sev events.Severity, message, remedy string) {
	if *flag {
		return
	}
	if k.Open >= maxOpenAlerts {
		if !k.Many {
			k.Many = true
			d.notes = append(d.notes, &events.AlertRaised{Alert: kind + "/many", Severity: sev,
				Message: "more than twenty alerts " + kind + " are open: further ones are not listed one by one", Remedy: remedy})
		}
		return
	}
	*flag = true
	k.Open++
	d.notes = append(d.notes, &events.AlertRaised{Alert: kind + "/" + what, Severity: sev, Message: message, Remedy: remedy})
}

// clearAlert clears an alert that was raised one by one.
func (d *Dispatch) clearAlert(k *alarm, flag *bool, kind, what, message string) {
	if !*flag {
		return
	}
	*flag = false
	k.Open--
	d.notes = append(d.notes, &events.AlertCleared{Alert: kind + "/" + what, Message: message})
	if k.Many && k.Open < maxOpenAlerts {
		k.Many = false
		d.notes = append(d.notes, &events.AlertCleared{Alert: kind + "/many", Message: "fewer than twenty alerts " + kind + " are open"})
	}
}
