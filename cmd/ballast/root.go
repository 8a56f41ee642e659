// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/config"
	"github.com/ballast-energy/ballast/events/bus"
)

// app is what all verbs share.
type app struct {
	out, err *os.File
	environ  []string
	started  bool // past flag parsing: failures are no usage errors

	// Global flags.
	configFile string
	server     string
	join       string
	creds      string
	prefix     string
	json       bool
	noColor    bool
	verbose    bool
}

// defaultServer is where `ballast up` listens.
const defaultServer = "nats://127.0.0.1:4222"

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "ballast",
		Short: "Turns unused data-centre power into Bitcoin, and gives it back at once",
		Long: `Ballast turns the power that an AI data centre has contracted but is not using
into Bitcoin, and gives it back the moment the AI load or the grid wants it.

Exit codes: 0 done · 1 failed · 2 wrong usage or configuration · 3 not metered
by the deadline · 4 a finding (replay differs, invalid event, doctor) · 5 no bus.`,
		Example: `  ballast up                                    a demo site, everything in one process
  ballast signal curtail --site demo --to 0MW --for 10m --reason "EEA2"
  ballast revenue --follow                      money as it is earned
  ballast worker --join "$(ballast join-token --role worker --id rig-17 --site demo)"
  ballast why demo                              what keeps mining where it is
  ballast explain --last                        why the last decision was made
  ballast journal replay --verify               every command follows from the journal`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	f := root.PersistentFlags()
	f.StringVar(&a.configFile, "config", "", "configuration `file` (see ballast config example)")
	f.StringVar(&a.server, "server", "", "bus `URL`, or a comma-separated list (default: the join token's, bus.url, bus.advertise, bus.listen: "+defaultServer+")")
	f.StringVar(&a.join, "join", "", "join `token` as ballast join-token prints it, or @FILE that holds it (or BALLAST_JOIN_TOKEN)")
	f.StringVar(&a.creds, "creds", "", "NATS credentials `file`")
	f.StringVar(&a.prefix, "prefix", "", "first token of every subject (default: ballast)")
	f.BoolVar(&a.json, "json", false, "write JSON, one value per line")
	f.BoolVar(&a.noColor, "no-color", false, "no colours (also NO_COLOR, and when piped)")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "log what the machinery does, on standard error")

	// A token that a failed command was to print must not end as "no token":
	// the process would then join whatever listens on this machine.
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if f := cmd.Flags().Lookup("join"); f != nil && f.Changed && a.join == "" {
			return errors.New("--join is empty: did the command that prints the token fail?")
		}
		return nil
	}
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run:"},
		&cobra.Group{ID: "operate", Title: "Operate:"},
		&cobra.Group{ID: "prove", Title: "Prove:"},
		&cobra.Group{ID: "set-up", Title: "Set up:"},
	)
	for _, g := range []struct {
		id   string
		cmds []*cobra.Command
	}{
		{"run", []*cobra.Command{a.upCommand(), a.serveCommand(), a.workerCommand(), a.gatewayCommand()}},
		{"operate", []*cobra.Command{a.signalCommand(), a.jobCommand(), a.programmeCommand(), a.stopCommand(), a.watchCommand(), a.whyCommand(), a.revenueCommand(), a.ledgerCommand(), a.poolCommand(), a.outletCommand(), a.deciderCommand()}},
		{"prove", []*cobra.Command{a.explainCommand(), a.reportCommand(), a.journalCommand(), a.simulateCommand(), a.engineCommand(), a.benchCommand()}},
		{"set-up", []*cobra.Command{a.doctorCommand(), a.configCommand(), a.joinTokenCommand(), a.schemaCommand()}},
	} {
		for _, c := range g.cmds {
			c.GroupID = g.id
			root.AddCommand(c)
			a.markStarts(c)
		}
	}
	return root
}

// markStarts makes every command note that it began to run: what fails before
// is wrong usage, required flags included.
func (a *app) markStarts(c *cobra.Command) {
	if run := c.RunE; run != nil {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			a.started = true
			return run(cmd, args)
		}
	}
	for _, sub := range c.Commands() {
		a.markStarts(sub)
	}
}

// env is the value of a variable, or empty.
func (a *app) env(name string) string {
	for i := len(a.environ) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(a.environ[i], name+"="); ok {
			return v
		}
	}
	return ""
}

// logger writes to standard error: warnings, or everything with --verbose.
func (a *app) logger() *slog.Logger {
	level := slog.LevelWarn
	if a.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
}

// loadConfig reads the file and the environment and lays the global flags
// over them.
func (a *app) loadConfig() (*config.Config, error) {
	c, err := config.Load(a.configFile, a.environ)
	if err != nil {
		return nil, withCode(exitUsage, err)
	}
	if a.server != "" {
		c.Bus.URL = a.server
	}
	token, err := a.joinToken()
	if err != nil {
		return nil, withCode(exitUsage, err)
	}
	if token != "" {
		c.Bus.Credentials = bus.Credentials{JoinToken: token}
	}
	if a.creds != "" {
		c.Bus.Credentials = bus.Credentials{CredsFile: a.creds}
	}
	if a.prefix != "" {
		c.Bus.Prefix = a.prefix
	}
	c.Bus.Logger = a.logger()
	return c, nil
}

// joinToken is the token of the flag or the environment, or empty. A file
// keeps it out of the list of processes.
func (a *app) joinToken() (string, error) {
	token := cmp.Or(a.join, a.env("BALLAST_JOIN_TOKEN"))
	name, isFile := strings.CutPrefix(token, "@")
	if !isFile {
		return token, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("join token: %w", err)
	}
	if token = strings.TrimSpace(string(b)); token == "" {
		return "", fmt.Errorf("join token: %s is empty", name)
	}
	return token, nil
}

// serverURL is where others reach the embedded server of a configuration.
func serverURL(c *bus.Config) string {
	scheme := "nats://"
	if c.TLS.CertFile != "" {
		scheme = "tls://"
	}
	addr := cmp.Or(c.Advertise, c.Listen)
	if host, port, err := net.SplitHostPort(addr); err == nil {
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			addr = net.JoinHostPort("127.0.0.1", port)
		}
	}
	return scheme + addr
}

// connect reaches a bus that somebody else runs: never the embedded server.
// Without a URL it is the one that the configuration would run.
// name tells the server who we are.
func (a *app) connect(ctx context.Context, name string) (*bus.Bus, error) {
	c, err := a.loadConfig()
	if err != nil {
		return nil, err
	}
	if c.Bus.URL == "" && c.Bus.Credentials.JoinToken == "" {
		c.Bus.URL = serverURL(&c.Bus)
	}
	c.Bus.Name = name
	b, err := bus.Open(ctx, c.Bus)
	switch {
	case errors.Is(err, bus.ErrToken):
		return nil, withCode(exitUsage, err)
	case err != nil:
		return nil, withCode(exitUnreachable, err)
	}
	return b, nil
}

// closeBus ends a client's connection within a second or two.
func closeBus(b *bus.Bus) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	_ = b.Close(ctx) // a client that only read has nothing to lose
}
