// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nuid"
	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/config"
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

// jobFlags are shared by all that is said of AI jobs.
type jobFlags struct {
	site, scheduler, node, at, reason string
	in                                time.Duration
	meters                            []string
	peak                              config.Power
}

func (a *app) jobCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "job",
		Short: "Tell a site what its AI jobs are about to do",
		Long: `What an AI scheduler says of its jobs, so that the power a job may want without
further notice is kept free, and no more. What is asked for counts at once; what
is given back counts once the job's meters show that it has stopped.`,
		Example: `  ballast job start train-7 --site demo --peak 15MW --meters pdu-11,pdu-12
  ballast job pause train-7 --site demo --in 45m
  ballast job end train-7 --site demo
  ballast job ls --site demo`,
	}
	for _, v := range []struct {
		verb, short, example string
		state                events.JobState
		dated                bool
	}{
		{"announce", "A job will start, at a time or at any moment", `  ballast job announce train-7 --site demo --peak 15MW --in 20m`, events.JobAnnounced, true},
		{"start", "A job begins, or comes back, now", `  ballast job start train-7 --site demo --peak 15MW --meters pdu-11,pdu-12`, events.JobStarting, false},
		{"run", "A job runs: its peak is learned from its meters", `  ballast job run train-7 --site demo`, events.JobRunning, false},
		{"interrupt", "A job has stopped by itself and may come back at any moment", `  ballast job interrupt train-7 --site demo --reason "node failure"`, events.JobInterrupted, false},
		{"pause", "A job has been stopped and comes back at a time", `  ballast job pause train-7 --site demo --in 45m`, events.JobPaused, true},
		{"end", "A job is over", `  ballast job end train-7 --site demo`, events.JobEnded, false},
	} {
		c.AddCommand(a.jobVerb(v.verb, v.short, v.example, v.state, v.dated))
	}
	c.AddCommand(a.jobListCommand())
	return c
}

func (a *app) jobVerb(verb, short, example string, state events.JobState, dated bool) *cobra.Command {
	var f jobFlags
	c := &cobra.Command{Use: verb + " JOB --site SITE", Short: short, Example: example, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			j := &events.AIJob{JobID: args[0], State: state, Node: f.node, Meters: f.meters, PeakWatts: int64(f.peak), Reason: f.reason}
			if f.at != "" && f.in != 0 {
				return withCode(exitUsage, errors.New("--at and --in: say one of them"))
			}
			if f.at != "" {
				t, err := time.Parse(time.RFC3339, f.at)
				if err != nil {
					return withCode(exitUsage, fmt.Errorf("--at %q: write it like 2026-01-31T18:00:00Z", f.at))
				}
				t = t.UTC()
				j.StartsAt = &t
			} else if f.in > 0 {
				t := time.Now().Add(f.in).UTC().Truncate(time.Second)
				j.StartsAt = &t
			}
			return a.sendJob(cmd.Context(), &f, j)
		}}
	fl := c.Flags()
	fl.StringVar(&f.site, "site", "", "`site` id (required)")
	fl.StringVar(&f.scheduler, "scheduler", "", "whose job it is: the source `token` (default: that of the join token, else "+events.OperatorSource+")")
	fl.StringVar(&f.node, "node", "", "`node` of the power tree at which it runs (default: as said before, else the point of connection)")
	fl.StringSliceVar(&f.meters, "meters", nil, "`meters` that see this job and nothing else (default: as said before)")
	fl.Var(&f.peak, "peak", "`power` that it draws at most (default: as said before)")
	fl.Lookup("peak").DefValue = ""
	fl.StringVar(&f.reason, "reason", "", "for people")
	if dated {
		fl.StringVar(&f.at, "at", "", "`time` at which it starts or comes back, like 2026-01-31T18:00:00Z; without it, at any moment")
		fl.DurationVar(&f.in, "in", 0, "the same, from now on")
	}
	_ = c.MarkFlagRequired("site")
	return c
}

// sendJob publishes what is said of a job. What it leaves out and was said
// before is said again, so that every event can stand alone.
func (a *app) sendJob(ctx context.Context, f *jobFlags, j *events.AIJob) error {
	if err := events.CheckToken("site", f.site); err != nil {
		return withCode(exitUsage, err)
	}
	b, err := a.connect(ctx, "job")
	if err != nil {
		return err
	}
	defer closeBus(b)
	source := events.OperatorSource
	switch who := b.Identity(); who.Role {
	case "", bus.RoleInternal:
		source = cmp.Or(f.scheduler, source)
	case bus.RoleOperator:
		if f.scheduler != events.OperatorSource {
			j.Scheduler = f.scheduler
		}
	case bus.RoleScheduler:
		source = cmp.Or(f.scheduler, who.ID)
	default:
		return withCode(exitUsage, fmt.Errorf("a token of role %s may not speak of AI jobs; use one of role scheduler or operator", who.Role))
	}
	if b.Identity().Role != bus.RoleScheduler { // a scheduler reads nothing
		if err := knownSite(ctx, b, f.site); err != nil {
			return err
		}
		rows, err := listJobs(ctx, b, f.site)
		if err != nil {
			return err
		}
		whose := cmp.Or(j.Scheduler, source)
		i := slices.IndexFunc(rows, func(r jobRow) bool { return r.Scheduler == whose && r.Job.JobID == j.JobID })
		if i < 0 && j.State == events.JobEnded {
			return fmt.Errorf("no job %q of %s at %s; ballast job ls --site %s lists them", j.JobID, whose, f.site, f.site)
		}
		if i >= 0 {
			j.Node = cmp.Or(j.Node, rows[i].Job.Node)
			if j.PeakWatts == 0 {
				j.PeakWatts = rows[i].Job.PeakWatts
			}
			if len(j.Meters) == 0 {
				j.Meters = rows[i].Job.Meters
			}
		}
	}
	if err := j.Validate(); err != nil {
		return withCode(exitUsage, err)
	}
	ev := events.New(f.site, source, j).WithID("job/" + f.site + "/" + source + "/" + nuid.Next())
	ev.Time = time.Now().UTC()
	pctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := b.Publish(pctx, ev); err != nil {
		return fmt.Errorf("what was said of job %s was not stored: %w", j.JobID, err)
	}
	p := a.printer()
	if p.json {
		return p.value(map[string]any{"job_id": j.JobID, "event_id": ev.ID, "site": f.site, "state": j.State, "stored": true})
	}
	p.linef("%s %s", f.site, describeJob(j))
	return nil
}

// describeJob says in a few words what was said of a job.
func describeJob(j *events.AIJob) string {
	var b strings.Builder
	fmt.Fprintf(&b, "job %s %s", j.JobID, j.State)
	if j.StartsAt != nil {
		b.WriteString(" until " + j.StartsAt.UTC().Format("2006-01-02 15:04:05"))
	}
	if j.Node != "" {
		b.WriteString(" at " + j.Node)
	}
	if j.PeakWatts > 0 {
		b.WriteString(", peak " + watts(j.PeakWatts))
	}
	if len(j.Meters) > 0 {
		b.WriteString(", seen by " + strings.Join(j.Meters, ", "))
	}
	if j.Reason != "" {
		b.WriteString(" because " + j.Reason)
	}
	return b.String()
}

// jobRow is one job as it was left.
type jobRow struct {
	Site      string        `json:"site"`
	Scheduler string        `json:"scheduler"`
	Said      time.Time     `json:"said"`
	Job       *events.AIJob `json:"job"`
}

// listJobs folds INPUTS as the decider does: the newest word counts, what it
// leaves out stays.
func listJobs(ctx context.Context, b *bus.Bus, site string) ([]jobRow, error) {
	var rows []jobRow
	for ev, err := range b.Events(ctx, events.ReadRequest{Stream: events.StreamInputs, Site: site, Types: []events.Type{events.TypeAIJob}}) {
		if err != nil {
			var d *events.DecodeError
			if asDecode(err, &d) {
				continue
			}
			return nil, err
		}
		j, ok := ev.Data.(*events.AIJob)
		if !ok {
			continue
		}
		whose := ev.Source
		if ev.Source == events.OperatorSource {
			whose = cmp.Or(j.Scheduler, whose)
		}
		i := slices.IndexFunc(rows, func(r jobRow) bool { return r.Site == ev.Site && r.Scheduler == whose && r.Job.JobID == j.JobID })
		if i < 0 {
			rows = append(rows, jobRow{Site: ev.Site, Scheduler: whose})
			i = len(rows) - 1
		} else {
			old := rows[i].Job
			j.Node, j.PeakWatts = cmp.Or(j.Node, old.Node), max(j.PeakWatts, old.PeakWatts)
			if len(j.Meters) == 0 {
				j.Meters = old.Meters
			}
		}
		rows[i].Said, rows[i].Job = ev.Arrived, j
	}
	return rows, nil
}

func (a *app) jobListCommand() *cobra.Command {
	var site string
	var all bool
	c := &cobra.Command{Use: "ls", Short: "AI jobs as their schedulers left them", Args: cobra.NoArgs,
		Example: `  ballast job ls --site demo
  ballast job ls --all --json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := a.connect(cmd.Context(), "job-ls")
			if err != nil {
				return err
			}
			defer closeBus(b)
			rows, err := listJobs(cmd.Context(), b, site)
			if err != nil {
				return err
			}
			p := a.printer()
			shown := 0
			for _, r := range rows {
				if !all && r.Job.State == events.JobEnded {
					continue
				}
				shown++
				if p.json {
					if err := p.value(r); err != nil {
						return err
					}
					continue
				}
				p.linef("%-10s %-12s %-12s %s", r.Said.UTC().Format("15:04:05"), r.Site, r.Scheduler, describeJob(r.Job))
			}
			if shown == 0 && !p.json {
				p.linef("no AI jobs")
			}
			return nil
		}}
	c.Flags().StringVar(&site, "site", "", "one `site` only")
	c.Flags().BoolVar(&all, "all", false, "also what is over")
	return c
}
