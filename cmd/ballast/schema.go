// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/schemas"
)

func (a *app) schemaCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "schema",
		Short: "The contract: one JSON Schema per event type, one AsyncAPI document",
		Example: `  ballast schema list
  ballast schema show grid.signal | jq .examples
  ballast schema show asyncapi
  echo '{"kind":"curtail","power_watts":0}' | ballast schema validate --type grid.signal -`,
	}
	list := &cobra.Command{Use: "list", Short: "Event types with a schema", Args: cobra.NoArgs,
		Example: "  ballast schema list --json",
		RunE: func(*cobra.Command, []string) error {
			p := a.printer()
			if p.json {
				return p.value(schemas.List())
			}
			for _, t := range schemas.List() {
				p.linef("%s", t)
			}
			return nil
		}}
	show := &cobra.Command{Use: "show TYPE|asyncapi", Short: "Print a schema, or the AsyncAPI document", Args: cobra.ExactArgs(1),
		Example: "  ballast schema show meter.reading",
		RunE: func(_ *cobra.Command, args []string) error {
			if args[0] == "asyncapi" {
				_, err := a.out.Write(schemas.AsyncAPI())
				return err
			}
			b, err := schemas.Schema(args[0])
			if err != nil {
				return withCode(exitUsage, err)
			}
			_, err = a.out.Write(b)
			return err
		}}
	var typ string
	validate := &cobra.Command{Use: "validate --type TYPE FILE…", Short: "Check event payloads, - is standard input", Args: cobra.MinimumNArgs(1),
		Example: `  ballast schema validate --type grid.signal signal.json
  nats sub … | ballast schema validate --type meter.reading -`,
		RunE: func(_ *cobra.Command, args []string) error {
			p := a.printer()
			bad := 0
			for _, file := range args {
				var data []byte
				var err error
				if file == "-" {
					data, err = io.ReadAll(os.Stdin)
				} else {
					data, err = os.ReadFile(file)
				}
				if err != nil {
					return err
				}
				verr := schemas.Validate(typ, data)
				if verr != nil {
					bad++
				}
				switch {
				case p.json:
					msg := ""
					if verr != nil {
						msg = verr.Error()
					}
					if err := p.value(map[string]any{"file": file, "type": typ, "valid": verr == nil, "error": msg}); err != nil {
						return err
					}
				case verr != nil:
					p.linef("%s %s: %v", p.paint(codeBad, "invalid"), file, verr)
				default:
					p.linef("%s %s", p.paint(codeGood, "valid"), file)
				}
			}
			if bad > 0 {
				return withCode(exitDiffers, fmt.Errorf("%d of %d invalid", bad, len(args)))
			}
			return nil
		}}
	validate.Flags().StringVar(&typ, "type", "", "event `type` (required)")
	_ = validate.MarkFlagRequired("type")
	c.AddCommand(list, show, validate)
	return c
}
