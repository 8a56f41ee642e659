// SPDX-License-Identifier: Apache-2.0

package hashengine

// Stats is an account of a [Miner] since it was made.
type Stats struct {
	// Hashes is the number of headers hashed, exactly. It includes every call
	// of [Engine.Scan] that has ended, and each hit's before the hit is handed
	// out.
	Hashes uint64
	// Hits is the number of hits found.
	Hits uint64
	// Waiting is the number of them not yet handed to OnHit or still in it.
	Waiting int
	// Faults is the number of candidates that plain code refuted. Anything
	// but zero means a broken processor or kernel.
	Faults uint64
	// Spaces is the number of templates taken from SetWork and Next.
	Spaces uint64
	// Active is the number of threads that hash or rest between two calls of
	// their duty cycle. The others wait: for Resume, work, or OnHit.
	Active int
	// Dry reports that a thread has run out of work and there is no more to be
	// had until SetWork.
	Dry bool
	// Err is why, if Next failed or an engine refused work; nil otherwise.
	Err error
	// Bound is the number of threads that are bound to processors, all or
	// none; [Miner.CPUs] tells to which.
	Bound int
	// Lowered is the number of threads that run at lowered priority, and Nice
	// the nice value that they have, 0 without any.
	Lowered, Nice int
	// LowerErr is why the others do not: errors.ErrUnsupported on systems
	// where threads have no priority of their own, or the system's refusal.
	// They hash all the same, at normal priority.
	LowerErr error
}

// Stats returns the account. It takes a moment's lock and never waits for a
// call of [Engine.Scan].
func (m *Miner) Stats() Stats {
	m.mu.Lock()
	s := Stats{
		Waiting:  int(m.hits.waiting.Load()),
		Spaces:   m.spaces,
		Active:   m.active,
		Dry:      m.dry,
		Err:      m.err,
		Lowered:  m.lowered,
		LowerErr: m.lowerErr,
	}
	m.mu.Unlock()
	if s.Lowered > 0 {
		s.Nice = m.config.Nice
	}
	for _, t := range m.threads {
		if t.cpus != nil {
			s.Bound++
		}
		s.Hashes += t.hashes.Load()
		s.Hits += t.found.Load()
		s.Faults += t.faults.Load()
	}
	return s
}
