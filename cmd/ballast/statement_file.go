// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// maxStatementFile bounds what is read of a statement: some ten statements
// that name as many shares as one may.
const maxStatementFile = 32 << 20

// statementColumns of a CSV file; the last four may be left out.
var statementColumns = []string{"from", "until", "shares_accepted", "difficulty_sum", "value_millisats", "pool", "statement_id", "basis", "credited", "refused"}

// readStatements reads the statements of a file, - for standard input. What a
// file leaves out is filled in: the pool, live as the basis, the span as the
// id, and now as the time of the statement.
func readStatements(name, pool string, now time.Time) ([]*events.PoolStatement, error) {
	raw, err := readBounded(name)
	if err != nil {
		return nil, fmt.Errorf("statement %s: %w", name, err)
	}
	var list []*events.PoolStatement
	switch first := bytes.TrimLeft(raw, " \t\r\n\ufeff"); {
	case len(first) == 0:
		err = errors.New("is empty")
	case first[0] == '{' || first[0] == '[' || strings.EqualFold(filepath.Ext(name), ".json"):
		list, err = jsonStatements(first)
	default:
		list, err = csvStatements(first)
	}
	if err != nil {
		return nil, fmt.Errorf("statement %s: %w", name, err)
	}
	for i, s := range list {
		s.From, s.Until = s.From.UTC(), s.Until.UTC()
		s.Pool = cmp.Or(s.Pool, pool)
		if s.Basis == "" {
			s.Basis = events.BasisLive
		}
		if s.StatementID == "" {
			s.StatementID = s.From.Format(time.RFC3339Nano) + "_" + s.Until.Format(time.RFC3339Nano)
		}
		if s.StatedAt.IsZero() {
			s.StatedAt = now.UTC()
		}
		err := s.Validate()
		if err == nil {
			err = events.CheckToken("pool", s.Pool)
		}
		if err == nil && pool != "" && s.Pool != pool {
			err = fmt.Errorf("it is of pool %s, --pool says %s", s.Pool, pool)
		}
		if err != nil {
			return nil, fmt.Errorf("statement %s, number %d: %w", name, i+1, err)
		}
	}
	return list, nil
}

func readBounded(name string) ([]byte, error) {
	var in io.Reader = os.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxStatementFile+1))
	if err == nil && len(raw) > maxStatementFile {
		err = fmt.Errorf("is longer than %d MiB: give it in parts", maxStatementFile>>20)
	}
	return raw, err
}

// jsonStatements reads one object, several one after the other, or a list.
func jsonStatements(raw []byte) ([]*events.PoolStatement, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	var list []*events.PoolStatement
	if raw[0] == '[' {
		if err := d.Decode(&list); err != nil {
			return nil, err
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return nil, errors.New("something follows the list")
		}
		if len(list) == 0 || slices.Contains(list, nil) {
			return nil, errors.New("the list is empty, or holds null")
		}
		return list, nil
	}
	for {
		s := new(events.PoolStatement)
		switch err := d.Decode(s); {
		case errors.Is(err, io.EOF):
			return list, nil
		case err != nil:
			return nil, err
		}
		list = append(list, s)
	}
}

// csvStatements reads a header and one statement per row. Lists of shares are
// ids with spaces between them.
func csvStatements(raw []byte) ([]*events.PoolStatement, error) {
	r := csv.NewReader(bytes.NewReader(raw))
	header, err := r.Read()
	if err != nil {
		return nil, err
	}
	for i, h := range header {
		header[i] = strings.ToLower(strings.TrimSpace(h))
		if !slices.Contains(statementColumns, header[i]) {
			return nil, fmt.Errorf("column %q is none of %s", h, strings.Join(statementColumns, ", "))
		}
		if slices.Index(header, header[i]) != i {
			return nil, fmt.Errorf("column %q is there twice", h)
		}
	}
	for _, need := range statementColumns[:4] {
		if !slices.Contains(header, need) {
			return nil, fmt.Errorf("no column %s", need)
		}
	}
	var list []*events.PoolStatement
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		s := new(events.PoolStatement)
		for i, cell := range row {
			if err := setColumn(s, header[i], strings.TrimSpace(cell)); err != nil {
				line, _ := r.FieldPos(i)
				return nil, fmt.Errorf("line %d: %s %q: %w", line, header[i], cell, err)
			}
		}
		list = append(list, s)
	}
	if len(list) == 0 {
		return nil, errors.New("there is a header and nothing below it")
	}
	return list, nil
}

// setColumn puts one cell of a row into a statement.
func setColumn(s *events.PoolStatement, column, cell string) (err error) {
	whole := func() int64 {
		n, failed := strconv.ParseInt(cell, 10, 64)
		if failed != nil {
			err = errors.New("want a whole number")
		}
		return n
	}
	instant := func() time.Time {
		at, failed := time.Parse(time.RFC3339, cell)
		if failed != nil {
			err = errors.New("write it like 2026-01-31T18:00:00Z")
		}
		return at
	}
	switch column {
	case "from":
		s.From = instant()
	case "until":
		s.Until = instant()
	case "shares_accepted":
		s.SharesAccepted = whole()
	case "difficulty_sum":
		s.DifficultySum = cell
	case "value_millisats":
		if cell != "" {
			n := whole()
			s.ValueMillisats = &n
		}
	case "pool":
		s.Pool = cell
	case "statement_id":
		s.StatementID = cell
	case "basis":
		s.Basis = events.Basis(cell)
	case "credited":
		s.Credited = strings.Fields(cell)
	case "refused":
		s.Refused = strings.Fields(cell)
	}
	return err
}
