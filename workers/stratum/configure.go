// SPDX-License-Identifier: Apache-2.0

package stratum

import (
	"fmt"
	"strconv"
)

// Extensions of mining.configure (BIP 310).
const (
	ExtensionVersionRolling      = "version-rolling"
	ExtensionMinimumDifficulty   = "minimum-difficulty"
	ExtensionSubscribeExtranonce = "subscribe-extranonce"
)

// maxExtensions in one message.
const maxExtensions = 16

// Configure (mining.configure, BIP 310) is what a machine asks of a pool
// before anything else.
type Configure struct {
	// VersionRolling with Mask of the bits that it would roll, and
	// MinBitCount of them, 0 when not given.
	VersionRolling bool
	Mask           uint32
	MinBitCount    int
	// MinimumDifficulty that it wants, exact decimal text; empty when not
	// asked for.
	MinimumDifficulty string
	// SubscribeExtranonce: it understands mining.set_extranonce.
	SubscribeExtranonce bool
	// Unknown extensions, and those whose parameters make no sense: all to be
	// answered with false.
	Unknown []string
}

// ParseConfigure reads the params of mining.configure. An extension whose
// parameters make no sense counts as unknown.
func ParseConfigure(params []byte) (*Configure, error) {
	var room [2][]byte
	p, count, err := elements(params, room[:0])
	if err != nil {
		return nil, paramError(MethodConfigure, err)
	}
	if count < 1 {
		return nil, paramError(MethodConfigure, tooFew(count, 2))
	}
	var names [maxExtensions][]byte
	list, count, err := elements(p[0], names[:0])
	if err != nil {
		return nil, paramError(MethodConfigure, fmt.Errorf("extensions: %w", err))
	}
	if count > maxExtensions {
		return nil, paramError(MethodConfigure, fmt.Errorf("%d extensions; at most %d", count, maxExtensions))
	}
	c := &Configure{Mask: 0xffffffff}
	minimum := false
	for _, raw := range list {
		name, err := boundedText(raw, "extension", 64)
		if err != nil {
			return nil, paramError(MethodConfigure, err)
		}
		switch name {
		case ExtensionVersionRolling:
			c.VersionRolling = true
		case ExtensionMinimumDifficulty:
			minimum = true
		case ExtensionSubscribeExtranonce:
			c.SubscribeExtranonce = true
		default:
			c.Unknown = append(c.Unknown, name)
		}
	}
	rolling := c.VersionRolling
	defer func() {
		if rolling && !c.VersionRolling {
			c.Unknown = append(c.Unknown, ExtensionVersionRolling)
		}
		if minimum && c.MinimumDifficulty == "" {
			c.Unknown = append(c.Unknown, ExtensionMinimumDifficulty)
		}
	}()
	if len(p) < 2 || isNull(p[1]) {
		return c, nil
	}
	err = members(p[1], func(key, value []byte) {
		switch string(key) {
		case `"version-rolling.mask"`:
			if m, ok := mask(value); ok {
				c.Mask = m
			} else {
				c.VersionRolling = false
			}
		case `"version-rolling.min-bit-count"`:
			if n, ok := integer(value); ok && n >= 0 && n <= 32 {
				c.MinBitCount = int(n)
			}
		case `"minimum-difficulty.value"`:
			if d, err := PlainDifficulty(value); err == nil && minimum {
				c.MinimumDifficulty = d
			}
		}
	})
	if err != nil {
		return nil, paramError(MethodConfigure, err)
	}
	return c, nil
}

// Append writes the request as a line.
func (c *Configure) Append(b []byte, id uint64) []byte {
	b = appendRequest(b, id, MethodConfigure)
	b = append(b, '[')
	from := len(b)
	name := func(on bool, name string) {
		if !on {
			return
		}
		if len(b) > from {
			b = append(b, ',')
		}
		b = appendString(b, name)
	}
	name(c.VersionRolling, ExtensionVersionRolling)
	name(c.MinimumDifficulty != "", ExtensionMinimumDifficulty)
	name(c.SubscribeExtranonce, ExtensionSubscribeExtranonce)
	for _, u := range c.Unknown {
		name(true, u)
	}
	b = append(b, "],{"...)
	if c.VersionRolling {
		b = append(b, `"version-rolling.mask":"`...)
		b = appendWord(b, c.Mask)
		b = append(b, `","version-rolling.min-bit-count":`...)
		b = strconv.AppendInt(b, int64(c.MinBitCount), 10)
	}
	if c.MinimumDifficulty != "" {
		if c.VersionRolling {
			b = append(b, ',')
		}
		b = append(b, `"minimum-difficulty.value":`...)
		b = append(b, c.MinimumDifficulty...)
	}
	return append(b, "}]}\n"...)
}

// ConfigureResult is a pool's answer to mining.configure.
type ConfigureResult struct {
	// VersionRolling granted, with Mask of the bits that may be rolled.
	VersionRolling bool
	Mask           uint32
	// MinimumDifficulty and SubscribeExtranonce granted.
	MinimumDifficulty   bool
	SubscribeExtranonce bool
}

// ParseConfigureResult reads the result. An extension answered with false or
// with an error text, or with a mask that is none, is not granted.
func ParseConfigureResult(result []byte) (ConfigureResult, error) {
	var r ConfigureResult
	masked := false
	err := members(result, func(key, value []byte) {
		granted, _ := truth(value)
		switch string(key) {
		case `"version-rolling"`:
			r.VersionRolling = granted
		case `"version-rolling.mask"`:
			r.Mask, masked = mask(value)
		case `"minimum-difficulty"`:
			r.MinimumDifficulty = granted
		case `"subscribe-extranonce"`:
			r.SubscribeExtranonce = granted
		}
	})
	if err != nil {
		return ConfigureResult{}, paramError(MethodConfigure, err)
	}
	if !r.VersionRolling || !masked || r.Mask == 0 {
		r.VersionRolling, r.Mask = false, 0
	}
	return r, nil
}

// Append writes the reply as a line. asked says which extensions to answer:
// those of ConfigureResult with what it grants, unknown ones with false.
func (r ConfigureResult) Append(b, id []byte, asked *Configure) []byte {
	b = appendReply(b, id)
	b = append(b, `"result":{`...)
	from := len(b)
	member := func(name string, granted bool) {
		if len(b) > from {
			b = append(b, ',')
		}
		b = appendString(b, name)
		b = append(b, ':')
		b = strconv.AppendBool(b, granted)
	}
	if asked.VersionRolling {
		member(ExtensionVersionRolling, r.VersionRolling)
		if r.VersionRolling {
			b = append(b, `,"version-rolling.mask":"`...)
			b = appendWord(b, r.Mask)
			b = append(b, '"')
		}
	}
	if asked.MinimumDifficulty != "" {
		member(ExtensionMinimumDifficulty, r.MinimumDifficulty)
	}
	if asked.SubscribeExtranonce {
		member(ExtensionSubscribeExtranonce, r.SubscribeExtranonce)
	}
	for _, u := range asked.Unknown {
		member(u, false)
	}
	return append(b, `},"error":null}`+"\n"...)
}

// mask reads up to 8 hex digits.
func mask(raw []byte) (uint32, bool) {
	t, ok := text(raw)
	if !ok || len(t) == 0 || len(t) > 8 {
		return 0, false
	}
	v, err := strconv.ParseUint(string(t), 16, 32)
	return uint32(v), err == nil
}

// ParseSetVersionMask reads the params of mining.set_version_mask.
func ParseSetVersionMask(params []byte) (uint32, error) {
	var room [1][]byte
	p, count, err := elements(params, room[:0])
	if err != nil {
		return 0, paramError(MethodSetVersionMask, err)
	}
	if count < 1 {
		return 0, paramError(MethodSetVersionMask, tooFew(count, 1))
	}
	m, ok := mask(p[0])
	if !ok {
		return 0, paramError(MethodSetVersionMask, fmt.Errorf("%s is not a text of 8 hex digits", clip(p[0])))
	}
	return m, nil
}

// AppendSetVersionMask writes the notification as a line.
func AppendSetVersionMask(b []byte, mask uint32) []byte {
	b = appendNotification(b, MethodSetVersionMask)
	b = append(b, '"')
	b = appendWord(b, mask)
	return append(b, `"]}`+"\n"...)
}
