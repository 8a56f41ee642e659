// SPDX-License-Identifier: Apache-2.0

package events

import "unicode/utf8"

// Validate implements Payload.
func (j *JournalOpened) Validate() error {
	var c checker
	c.position("epoch", j.Epoch, 1)
	c.position("last_sequence", j.LastSequence, 0)
	c.text("opened_by", j.OpenedBy, maxLabel)
	c.text("reason", j.Reason, MaxText)
	return c.err
}

// Validate implements Payload.
func (d *DeciderActivated) Validate() error {
	var c checker
	c.token("decider", d.Decider)
	c.version(d.Version)
	c.hex("config_hash", d.ConfigHash, 16)
	if d.StateHash != "" {
		c.hex("state_hash", d.StateHash, 16)
	}
	c.text("activated_by", d.ActivatedBy, maxLabel)
	return c.err
}

// Validate implements Payload.
func (d *DeciderCheckpoint) Validate() error {
	var c checker
	c.token("decider", d.Decider)
	c.version(d.Version)
	c.hex("config_hash", d.ConfigHash, 16)
	c.position("epoch", d.Epoch, 0)
	c.position("sequence", d.Sequence, 0)
	c.position("folded", d.Folded, 0)
	c.hex("state_hash", d.StateHash, 16)
	c.hex("chain_hash", d.ChainHash, 64)
	return c.err
}

func (c *checker) version(s string) {
	if len(s) == 0 || len(s) > 64 || !madeOf(s, &versionBytes) {
		c.fail("version", "%s must be 1 to 64 of A-Z a-z 0-9 . _ + and -", quote(s))
	}
}

func (c *checker) alert(s string) {
	if len(s) == 0 || len(s) > 200 || !madeOf(s, &alertBytes) {
		c.fail("alert", "%s must be 1 to 200 of A-Z a-z 0-9 . _ : / and -", quote(s))
	}
}

// Validate implements Payload.
func (a *AlertRaised) Validate() error {
	var c checker
	c.alert(a.Alert)
	if a.Severity != SeverityWarning && a.Severity != SeverityCritical {
		c.fail("severity", "%s is none of warning, critical", quote(string(a.Severity)))
	}
	c.text("message", a.Message, MaxText)
	c.text("remedy", a.Remedy, MaxText)
	return c.err
}

// Validate implements Payload.
func (a *AlertCleared) Validate() error {
	var c checker
	c.alert(a.Alert)
	c.text("message", a.Message, MaxText)
	return c.err
}

// Validate implements Payload.
func (d *DeadLetter) Validate() error {
	var c checker
	c.text("subject", d.Subject, 4096)
	if utf8.RuneCountInString(d.Stream) > 255 || !utf8.ValidString(d.Stream) {
		c.fail("stream", "%s must be at most 255 characters", quote(d.Stream))
	}
	c.position("sequence", d.Sequence, 0)
	c.text("consumer", d.Consumer, maxLabel)
	switch d.Reason {
	case DeadUnreadable, DeadInvalid, DeadSubject, DeadUnknownSite, DeadExhausted, DeadTooOld:
	default:
		c.fail("reason", "%s is none of unreadable, invalid, subject, unknown-site, exhausted, time", quote(string(d.Reason)))
	}
	c.text("detail", d.Detail, MaxText)
	c.count("attempts", d.Attempts)
	if len(d.Payload) > MaxDeadPayload {
		c.fail("payload", "is %d bytes long; keep the first %d and set truncated", len(d.Payload), MaxDeadPayload)
	}
	return c.err
}
