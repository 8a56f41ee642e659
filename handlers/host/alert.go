// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// alertWait bounds the publishing of one alert.
const alertWait = 30 * time.Second

// raise stores alert.raised once: occurrence tells one raising from the next,
// and every host that sees the same gives the same.
func (h *Host) raise(ctx context.Context, occurrence string, a *events.AlertRaised) {
	h.cfg.Logger.Warn(a.Message, "alert", a.Alert, "site", h.cfg.Site, "remedy", a.Remedy)
	h.publishAlert(ctx, a.Alert+"/"+occurrence+"/raised", a)
}

// lower stores alert.cleared once.
func (h *Host) lower(ctx context.Context, occurrence string, a *events.AlertCleared) {
	h.cfg.Logger.Info(a.Message, "alert", a.Alert, "site", h.cfg.Site)
	h.publishAlert(ctx, a.Alert+"/"+occurrence+"/cleared", a)
}

// publishAlert never holds up a fold. An alert that cannot be stored stays in
// the log.
func (h *Host) publishAlert(ctx context.Context, id string, p events.Payload) {
	h.running.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), alertWait)
		defer cancel()
		e := events.New(h.cfg.Site, h.cfg.Name, p).WithID(h.cfg.Site + "/alert/" + id)
		if err := h.cfg.Bus.Publish(ctx, e); err != nil {
			h.cfg.Logger.Error("an alert could not be stored", "id", e.ID, "error", err)
		}
	})
}
