// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nuid"
	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/config"
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

// signalFlags are shared by all signals.
type signalFlags struct {
	site, issuer, programme, precedence string
	reason, id, supersedes              string
	priority                            int
	window                              time.Duration
	at, issued, node                    string
	test, wait                          bool
	deadline                            time.Duration
	ramp, minimum, recovery             time.Duration
	set                                 func(flag string) bool
}

// add gives a command the flags of a signal that asks for something.
func (f *signalFlags) add(c *cobra.Command) {
	f.addIssuer(c)
	fl := c.Flags()
	fl.StringVar(&f.programme, "programme", "", "grid `programme` the signal belongs to")
	fl.StringVar(&f.precedence, "precedence", "", "`class`: safety, grid-emergency, ai-contract, demand-response, economics")
	fl.IntVar(&f.priority, "priority", 0, "within the class, 0 (most important) to 255")
	fl.StringVar(&f.id, "id", "", "signal `id` to supersede or cancel it by (default: made up)")
	fl.StringVar(&f.supersedes, "supersedes", "", "`id` of an earlier signal of the same issuer that this one replaces")
	fl.DurationVar(&f.window, "for", 0, "how long it holds; without it, until restored")
	fl.StringVar(&f.at, "at", "", "`time` at which it starts, like 2026-01-31T18:00:00Z (default: now)")
	fl.BoolVar(&f.test, "test", false, "a drill: recorded and reported, obeyed only where its programme says that tests are carried out")
	fl.StringVar(&f.issued, "issued", "", "`time` at which the issuer gave the instruction, from which the programme's response time counts (default: now)")
	f.set = fl.Changed
}

// addReduction gives a command the flags of a signal that lowers power.
func (f *signalFlags) addReduction(c *cobra.Command) {
	f.add(c)
	fl := c.Flags()
	fl.StringVar(&f.node, "node", "", "`node` of the power tree at which it counts (default: that of the programme, else the point of connection)")
	fl.DurationVar(&f.ramp, "ramp", 0, "spread the reduction over so long before its deadline (default: as the programme says)")
	fl.DurationVar(&f.minimum, "min-duration", 0, "hold it so long, whatever comes; the operator may end it (default: as the programme says)")
	fl.DurationVar(&f.recovery, "recovery", 0, "let its limit rise over so long after its end (default: as the programme says)")
}

// addIssuer gives a command the flags that every signal has.
func (f *signalFlags) addIssuer(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.site, "site", "", "`site` id (required)")
	fl.StringVar(&f.issuer, "issuer", "", "who speaks: the source `token` (default: the issuer of the join token, else "+events.OperatorSource+")")
	fl.StringVar(&f.reason, "reason", "", "for people and reports, like \"EEA2\"")
	fl.BoolVar(&f.wait, "wait", false, "wait until meters show it (what only raises, prices or limits the site: until it is decided; so does a limit of a node, of all load, or a shed); prints each step with its time")
	fl.DurationVar(&f.deadline, "deadline", 30*time.Second, "with --wait: give up after this long and exit 3")
	_ = c.MarkFlagRequired("site")
}

// signal makes the event of the flags.
func (f *signalFlags) signal(kind events.SignalKind) (*events.GridSignal, error) {
	s := &events.GridSignal{
		SignalID: f.id, Kind: kind, Programme: f.programme, Issuer: f.issuer, Reason: f.reason,
		Precedence: events.Precedence(f.precedence), Priority: f.priority, Test: f.test, Supersedes: f.supersedes,
	}
	if s.SignalID == "" {
		s.SignalID = nuid.Next()
	}
	if f.window < 0 || f.window%time.Second != 0 {
		return nil, withCode(exitUsage, fmt.Errorf("--for %v: use whole seconds", f.window))
	}
	if f.test && f.wait && f.programme == "" {
		return nil, withCode(exitUsage, errors.New("--test --wait: a drill of no programme moves no power, so there is nothing to wait for"))
	}
	s.DurationSeconds = int64(f.window / time.Second)
	var err error
	if s.StartsAt, err = instant("--at", f.at); err != nil {
		return nil, err
	}
	if s.IssuedAt, err = instant("--issued", f.issued); err != nil {
		return nil, err
	}
	s.Node = f.node
	for _, o := range []struct {
		flag string
		from time.Duration
		into **int64
	}{{"ramp", f.ramp, &s.RampSeconds}, {"min-duration", f.minimum, &s.MinDurationSeconds}, {"recovery", f.recovery, &s.RecoverySeconds}} {
		if f.set == nil || !f.set(o.flag) {
			continue
		}
		if o.from < 0 || o.from%time.Second != 0 {
			return nil, withCode(exitUsage, fmt.Errorf("--%s %v: use whole seconds", o.flag, o.from))
		}
		n := int64(o.from / time.Second)
		*o.into = &n
	}
	return s, nil
}

// instant reads the time of a flag; nil when there is none.
func instant(flag, text string) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, withCode(exitUsage, fmt.Errorf("%s %q: write it like 2026-01-31T18:00:00Z", flag, text))
	}
	t = t.UTC()
	return &t, nil
}

func (a *app) signalCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "signal",
		Short: "Tell a site what the grid, a market or a person wants",
		Example: `  ballast signal curtail --site demo --to 0MW --for 10m --reason "EEA2" --wait
  ballast signal ls --site demo
  ballast signal cancel 8KXk3… --site demo
  ballast signal price --site demo --price 143.20`,
	}
	c.AddCommand(
		a.powerSignal(events.SignalCurtail, "curtail", "Mining at or below a power", `  ballast signal curtail --site demo --to 0MW --for 10m --reason "EEA2"
  ballast signal curtail --site demo --to 1.5MW --wait
  ballast signal curtail --site demo --to 0MW --programme ers-10 --node ups-a --ramp 5m --recovery 15m`),
		a.powerSignal(events.SignalSetpoint, "setpoint", "Mining at a power if headroom allows, whatever energy costs", `  ballast signal setpoint --site demo --to 2MW --for 15m --programme ecrs`),
		a.powerSignal(events.SignalImportLimit, "import-limit", "The whole site (AI, house, mining) at or below a power", `  ballast signal import-limit --site demo --to 6MW --for 1h`),
		a.emergencyCommand(), a.restoreCommand(), a.cancelCommand(), a.priceCommand(), a.signalListCommand(),
	)
	return c
}

func (a *app) powerSignal(kind events.SignalKind, name, short, example string) *cobra.Command {
	var f signalFlags
	to := config.Power(-1)
	var rise config.Power
	c := &cobra.Command{Use: name + " --site SITE --to POWER", Short: short, Example: example, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := f.signal(kind)
			if err != nil {
				return err
			}
			w := int64(to)
			s.PowerWatts, s.RampWattsPerMinute = &w, int64(rise)
			return a.sendSignal(cmd.Context(), &f, s)
		}}
	f.addReduction(c)
	if kind == events.SignalSetpoint {
		c.Flags().Var(&rise, "rise-per-minute", "from a lower setpoint of the programme to this one, `power` per minute (default: at once)")
		c.Flags().Lookup("rise-per-minute").DefValue = ""
	}
	c.Flags().Var(&to, "to", "`power` with its unit, like 0MW, 1.5MW, 800kW")
	c.Flags().Lookup("to").DefValue = "" // required
	_ = c.MarkFlagRequired("to")
	return c
}

func (a *app) emergencyCommand() *cobra.Command {
	var f signalFlags
	c := &cobra.Command{Use: "emergency --site SITE", Short: "Mining to 0 W at once", Args: cobra.NoArgs,
		Example: `  ballast signal emergency --site demo --for 30m --reason "EEA3" --wait`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := f.signal(events.SignalEmergency)
			if err != nil {
				return err
			}
			return a.sendSignal(cmd.Context(), &f, s)
		}}
	f.addReduction(c)
	return c
}

func (a *app) restoreCommand() *cobra.Command {
	var f signalFlags
	c := &cobra.Command{Use: "restore --site SITE", Short: "End every reduction of the same issuer and programme", Args: cobra.NoArgs,
		Long: `Ends every curtail, setpoint, import limit and emergency of the same issuer and
programme. It raises nothing by itself: power comes back as headroom, reserve
and ramp allow. A stop is lifted by ballast signal cancel, by its id.`,
		Example: `  ballast signal restore --site demo`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := f.signal(events.SignalRestore)
			if err != nil {
				return err
			}
			return a.sendSignal(cmd.Context(), &f, s)
		}}
	f.addIssuer(c)
	c.Flags().StringVar(&f.programme, "programme", "", "grid `programme` whose signals end (default: those without one)")
	return c
}

func (a *app) cancelCommand() *cobra.Command {
	var f signalFlags
	c := &cobra.Command{Use: "cancel ID --site SITE", Short: "End one signal by its id", Args: cobra.ExactArgs(1),
		Long: `Ends one signal. An issuer ends its own; the operator ends any, and only the
operator lifts a stop.`,
		Example: `  ballast signal cancel 8KXk3yPq --site demo`,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.signal(events.SignalRestore)
			if err != nil {
				return err
			}
			s.Cancels = args[0]
			return a.sendSignal(cmd.Context(), &f, s)
		}}
	f.addIssuer(c)
	return c
}

func (a *app) priceCommand() *cobra.Command {
	var f signalFlags
	var price config.Money
	c := &cobra.Command{Use: "price --site SITE --price DOLLARS", Short: "The marginal price of energy, per MWh", Args: cobra.NoArgs,
		Example: `  ballast signal price --site demo --price 143.20
  ballast signal price --site demo --price=-12.50`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := f.signal(events.SignalPrice)
			if err != nil {
				return err
			}
			p := int64(price)
			s.PriceMicrousdPerMWh = &p
			return a.sendSignal(cmd.Context(), &f, s)
		}}
	f.add(c)
	c.Flags().Var(&price, "price", "`dollars` per MWh, may be negative")
	c.Flags().Lookup("price").DefValue = "" // required
	_ = c.MarkFlagRequired("price")
	return c
}

// sendSignal publishes, says so, and waits if asked.
func (a *app) sendSignal(ctx context.Context, f *signalFlags, s *events.GridSignal) error {
	if err := events.CheckToken("site", f.site); err != nil {
		return withCode(exitUsage, err)
	}
	b, err := a.connect(ctx, "signal")
	if err != nil {
		return err
	}
	defer closeBus(b)
	if err := f.authorize(b.Identity()); err != nil {
		return withCode(exitUsage, err)
	}
	s.Issuer = f.issuer
	if err := s.Validate(); err != nil {
		return withCode(exitUsage, err)
	}
	if b.Identity().Role != bus.RoleIssuer { // an issuer reads nothing
		if err := knownSite(ctx, b, f.site); err != nil {
			return err
		}
		if err := knownSignal(ctx, b, f.site, s); err != nil {
			return err
		}
	}
	ev := events.New(f.site, f.issuer, s).WithID("signal/" + f.site + "/" + f.issuer + "/" + s.SignalID)
	var w *waiter
	if f.wait {
		if w, err = newWaiter(ctx, b, f.site, ev, f.deadline); err != nil {
			return err
		}
		defer w.stop()
	}
	sent := time.Now()
	pctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := b.Publish(pctx, ev); err != nil {
		return fmt.Errorf("signal %s was not stored: %w", s.SignalID, err)
	}
	p := a.printer()
	if p.json {
		if err := p.value(map[string]any{"signal_id": s.SignalID, "event_id": ev.ID, "site": f.site, "kind": s.Kind, "stored": true, "stored_after_ms": millis(time.Since(sent))}); err != nil {
			return err
		}
	} else {
		p.linef("%s %s %s stored after %s, id %s", clock(sent), f.site, describeSignal(s), roundMillis(time.Since(sent)), p.paint(codeTitle, s.SignalID))
	}
	if w == nil {
		return nil
	}
	return w.run(ctx, p, sent)
}

// authorize fills in the issuer and refuses what the bus would: it drops a
// forbidden message without a word to the sender.
func (f *signalFlags) authorize(who bus.Identity) error {
	switch who.Role {
	case "", bus.RoleInternal:
	case bus.RoleOperator:
		if f.issuer != "" && f.issuer != events.OperatorSource {
			return fmt.Errorf("--issuer %s: an operator's token speaks as %s only", f.issuer, events.OperatorSource)
		}
	case bus.RoleIssuer:
		if f.issuer = cmp.Or(f.issuer, who.ID); f.wait {
			return errors.New("--wait: an issuer's token may not read meters; send without it, and look with an operator's or viewer's token")
		}
	default:
		return fmt.Errorf("a token of role %s may not publish signals; use one of role issuer or operator", who.Role)
	}
	f.issuer = cmp.Or(f.issuer, events.OperatorSource)
	return nil
}

// knownSignal refuses to cancel or supersede what is not there: a misspelt id
// would be stored and end nothing.
func knownSignal(ctx context.Context, b *bus.Bus, site string, s *events.GridSignal) error {
	id := cmp.Or(s.Cancels, s.Supersedes)
	if id == "" {
		return nil
	}
	book, err := readSignals(ctx, b, site, false)
	if err != nil {
		return fmt.Errorf("look up signal %s: %w", id, err)
	}
	for _, r := range book.Rows(time.Now()) {
		if r.ID == id {
			return nil
		}
	}
	return fmt.Errorf("no signal %q in force or to come at %s; ballast signal ls --site %s lists them", id, site, site)
}

// knownSite refuses a site that nobody configured: a signal to a misspelt one
// would reach no decider.
func knownSite(ctx context.Context, b *bus.Bus, site string) error {
	if err := events.CheckToken("site", site); err != nil {
		return withCode(exitUsage, err)
	}
	found := false
	var others []string
	for ev, err := range events.Read[events.SiteConfig](ctx, b) {
		if err != nil {
			var d *events.DecodeError
			if asDecode(err, &d) {
				continue
			}
			return fmt.Errorf("look up site %s: %w", site, err)
		}
		found = found || ev.Site == site
		if ev.Site != site {
			others = appendNew(others, ev.Site)
		}
	}
	if !found {
		return fmt.Errorf("no site %q on this bus; it knows: %s", site, cmp.Or(strings.Join(others, ", "), "none"))
	}
	return nil
}

func appendNew(list []string, s string) []string {
	for _, x := range list {
		if x == s {
			return list
		}
	}
	return append(list, s)
}
