// SPDX-License-Identifier: Apache-2.0

package events

import (
	"encoding/json"
	"strconv"
	"time"
)

// appendHot appends the JSON of p, byte for byte what encoding/json writes, if
// its type has a writer. The writers allocate nothing as long as texts are
// plain ASCII and times UTC, as Validate and this package's readers leave them.
func appendHot(b []byte, p Payload) (out []byte, known bool, err error) {
	switch p := p.(type) {
	case *MeterReading:
		if b, err = appendReading(b, p); err != nil {
			return nil, true, err
		}
		return b, true, nil
	case *WorkerStatus:
		return appendStatus(b, p), true, nil
	case *ClockTick:
		return append(appendInt(b, `{"second":`, p.Second), '}'), true, nil
	case *PermitRenewed:
		return appendPermit(b, p), true, nil
	case *ShareFound:
		if b, err = appendFound(b, p); err != nil {
			return nil, true, err
		}
		return b, true, nil
	}
	return nil, false, nil
}

func appendReading(b []byte, m *MeterReading) ([]byte, error) {
	b = appendInt(b, `{"power_watts":`, m.PowerWatts)
	if m.EnergyMilliwattHours != nil {
		b = appendInt(b, `,"energy_milliwatt_hours":`, *m.EnergyMilliwattHours)
	}
	b = append(b, `,"sampled_at":`...)
	b, err := appendTime(b, m.SampledAt)
	if err != nil {
		return nil, err
	}
	b = appendText(b, `,"quality":`, string(m.Quality))
	if m.Modelled {
		b = append(b, `,"modelled":true`...)
	}
	return append(b, '}'), nil
}

func appendStatus(b []byte, w *WorkerStatus) []byte {
	b = appendText(b, `{"boot_id":`, w.BootID)
	b = appendUint(b, `,"counter":`, w.Counter)
	if w.Announce {
		b = append(b, `,"announce":true`...)
	}
	if w.Leaving {
		b = append(b, `,"leaving":true`...)
	}
	if w.Units == nil {
		return append(b, `,"units":null}`...)
	}
	b = append(b, `,"units":[`...)
	for i := range w.Units {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendUnit(b, &w.Units[i])
	}
	return append(b, `]}`...)
}

func appendUnit(b []byte, u *UnitStatus) []byte {
	b = appendText(b, `{"unit":`, u.Unit)
	b = appendText(b, `,"state":`, string(u.State))
	b = appendInt(b, `,"setpoint_watts":`, u.SetpointWatts)
	b = appendInt(b, `,"power_watts":`, u.PowerWatts)
	b = appendInt(b, `,"hashrate_mhs":`, u.HashrateMHs)
	if u.Hashes != "" {
		b = appendText(b, `,"hashes":`, u.Hashes)
	}
	if u.Applied != nil {
		b = appendKey(b, `,"applied":`, u.Applied)
	}
	b = appendInt(b, `,"lease_milliseconds":`, u.LeaseMilliseconds)
	if u.LocalLimitWatts != nil {
		b = appendInt(b, `,"local_limit_watts":`, *u.LocalLimitWatts)
	}
	if u.Reason != "" {
		b = appendText(b, `,"reason":`, string(u.Reason))
	}
	if u.SignalID != "" {
		b = appendText(b, `,"signal_id":`, u.SignalID)
	}
	if u.Healthy {
		b = append(b, `,"healthy":true`...)
	} else {
		b = append(b, `,"healthy":false`...)
	}
	if u.Modelled {
		b = append(b, `,"modelled":true`...)
	}
	if u.PowerModelled {
		b = append(b, `,"power_modelled":true`...)
	}
	if u.Capabilities != nil {
		b = appendCapabilities(b, u.Capabilities)
	}
	return append(b, '}')
}

func appendCapabilities(b []byte, k *Capabilities) []byte {
	b = appendText(b, `,"capabilities":{"class":`, k.Class)
	b = appendInt(b, `,"nameplate_watts":`, k.NameplateWatts)
	if len(k.LevelsWatts) > 0 {
		b = append(b, `,"levels_watts":[`...)
		for i, w := range k.LevelsWatts {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, w, 10)
		}
		b = append(b, ']')
	}
	if len(k.Levels) > 0 {
		b = append(b, `,"levels":[`...)
		for i := range k.Levels {
			l := &k.Levels[i]
			if i > 0 {
				b = append(b, ',')
			}
			b = appendText(b, `{"name":`, l.Name)
			b = appendInt(b, `,"watts":`, l.Watts)
			if l.MillijoulesPerTerahash != 0 {
				b = appendInt(b, `,"millijoules_per_terahash":`, l.MillijoulesPerTerahash)
			}
			if l.BootMilliseconds != 0 {
				b = appendInt(b, `,"boot_milliseconds":`, l.BootMilliseconds)
			}
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	b = appendInt(b, `,"min_watts":`, k.MinWatts)
	b = appendInt(b, `,"failsafe_watts":`, k.FailsafeWatts)
	b = appendInt(b, `,"millijoules_per_terahash":`, k.MillijoulesPerTerahash)
	b = appendInt(b, `,"fall_milliseconds":`, k.FallMilliseconds)
	b = appendInt(b, `,"boot_milliseconds":`, k.BootMilliseconds)
	if k.Meter != "" {
		b = appendText(b, `,"meter":`, k.Meter)
	}
	if k.Node != "" {
		b = appendText(b, `,"node":`, k.Node)
	}
	return append(b, '}')
}

func appendPermit(b []byte, p *PermitRenewed) []byte {
	b = appendText(b, `{"decider":`, p.Decider)
	b = appendKey(b, `,"key":`, &p.Key)
	b = appendText(b, `,"boot_id":`, p.BootID)
	b = appendUint(b, `,"counter":`, p.Counter)
	b = appendInt(b, `,"lease_milliseconds":`, p.LeaseMilliseconds)
	if p.Units == nil {
		return append(b, `,"units":null}`...)
	}
	b = append(b, `,"units":[`...)
	for i := range p.Units {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, `{"unit":`, p.Units[i].Unit)
		b = append(appendInt(b, `,"setpoint_watts":`, p.Units[i].SetpointWatts), '}')
	}
	return append(b, `]}`...)
}

func appendFound(b []byte, p *ShareFound) ([]byte, error) {
	b = appendText(b, `{"share_id":`, p.ShareID)
	b = appendText(b, `,"job_id":`, p.JobID)
	b = appendText(b, `,"gateway":`, p.Gateway)
	b = appendText(b, `,"unit":`, p.Unit)
	if p.Version != "" {
		b = appendText(b, `,"version":`, p.Version)
	}
	if p.NTime != 0 {
		b = appendInt(b, `,"ntime":`, p.NTime)
	}
	if p.Nonce != "" {
		b = appendText(b, `,"nonce":`, p.Nonce)
	}
	if p.Extranonce != "" {
		b = appendText(b, `,"extranonce":`, p.Extranonce)
	}
	b = appendText(b, `,"difficulty":`, p.Difficulty)
	b = append(b, `,"found_at":`...)
	b, err := appendTime(b, p.FoundAt)
	if err != nil {
		return nil, err
	}
	if p.Modelled {
		b = append(b, `,"modelled":true`...)
	}
	return append(b, '}'), nil
}

func appendKey(b []byte, name string, k *OrderKey) []byte {
	b = append(b, name...)
	b = appendUint(b, `{"epoch":`, k.Epoch)
	b = appendUint(b, `,"sequence":`, k.Sequence)
	return append(appendUint(b, `,"ordinal":`, uint64(k.Ordinal)), '}')
}

func appendInt(b []byte, name string, v int64) []byte {
	return strconv.AppendInt(append(b, name...), v, 10)
}

func appendUint(b []byte, name string, v uint64) []byte {
	return strconv.AppendUint(append(b, name...), v, 10)
}

// appendText writes a string. What needs an escape is left to encoding/json,
// which cannot fail on a string.
func appendText(b []byte, name, s string) []byte {
	b = append(b, name...)
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			j, err := json.Marshal(s)
			if err != nil {
				return append(b, `""`...)
			}
			return append(b, j...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendTime(b []byte, t time.Time) ([]byte, error) {
	if y := t.Year(); t.Location() != time.UTC || y < 0 || y > 9999 {
		j, err := t.MarshalJSON()
		return append(b, j...), err
	}
	b = append(b, '"')
	b = t.AppendFormat(b, time.RFC3339Nano)
	return append(b, '"'), nil
}
