// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"context"
	"fmt"
)

// ask has Next called, unless that is under way or has failed. m.mu is held.
func (m *Miner) ask() {
	if m.generation == 0 || m.wanted || m.dry {
		return
	}
	if m.config.Next == nil {
		m.dry = true
		m.idle.Broadcast()
		return
	}
	m.wanted = true
	select {
	case m.hungry <- struct{}{}:
	default:
	}
}

// feed calls Next whenever work is wanted.
func (m *Miner) feed() {
	for {
		select {
		case <-m.life.Done():
			return
		case <-m.hungry:
		}
		m.refill()
	}
}

// refill calls Next once and gives out its answer.
func (m *Miner) refill() {
	m.mu.Lock()
	if m.closed || !m.wanted {
		m.mu.Unlock() // SetWork came first
		return
	}
	ctx, cancel := context.WithCancel(m.life)
	defer cancel()
	m.cancelNext = cancel
	generation, spent := m.generation, m.template
	m.mu.Unlock()

	next, err := m.config.Next(ctx, spent)
	if err == nil {
		err = next.Validate()
	}
	var pieces []Work
	if err == nil {
		pieces = next.Split(len(m.threads))
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	m.cancelNext = nil
	if m.closed || m.generation != generation {
		return // overtaken; should the new work be spent already, hungry holds the word
	}
	m.wanted = false
	if err != nil {
		m.dry = true
		m.idle.Broadcast()
		m.err = fmt.Errorf("next work: %w", err)
		return
	}
	m.install(next, pieces)
	m.announce()
}
