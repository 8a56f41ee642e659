// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/outlet"
)

// Outlet says which outlet of a site feeds which unit.
type Outlet struct {
	ID         string `yaml:"id"`
	Controller string `yaml:"controller"`
	Agent      string `yaml:"agent"`
	Unit       string `yaml:"unit"`
}

// OutletController is how this process switches outlets.
type OutletController struct {
	// ID that commands are addressed to.
	ID      string         `yaml:"id"`
	Devices []OutletDevice `yaml:"devices"`
}

// OutletDevice is one outlet: requests, or commands.
type OutletDevice struct {
	ID      string        `yaml:"id"`
	Off     OutletRequest `yaml:"off"`
	On      OutletRequest `yaml:"on"`
	Timeout Duration      `yaml:"timeout"`
	Within  Duration      `yaml:"within"`
}

// OutletRequest is an HTTP request, or the program to start and its arguments.
type OutletRequest struct {
	URL         string `yaml:"url"`
	Method      string `yaml:"method"`
	Body        string `yaml:"body"`
	ContentType string `yaml:"content_type"`
	// AuthorizationEnv names the variable that holds the Authorization header.
	AuthorizationEnv string   `yaml:"authorization_env"`
	Status           []int    `yaml:"status"`
	Command          []string `yaml:"command"`
}

// Validate checks all that can be known without the devices.
func (c *OutletController) Validate() error {
	if c.ID != "" {
		if err := events.CheckToken("id", c.ID); err != nil {
			return err
		}
	}
	_, err := c.Drivers()
	return err
}

// Drivers by outlet.
func (c *OutletController) Drivers() (map[string]outlet.Driver, error) {
	drivers := make(map[string]outlet.Driver, len(c.Devices))
	var errs []error
	for i := range c.Devices {
		v := &c.Devices[i]
		err := events.CheckToken("id", v.ID)
		var d outlet.Driver
		if err == nil {
			d, err = v.driver()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("devices[%d] %s: %w", i, v.ID, err))
			continue
		}
		if drivers[v.ID] != nil {
			errs = append(errs, fmt.Errorf("devices[%d]: %s is there twice", i, v.ID))
		}
		drivers[v.ID] = d
	}
	return drivers, errors.Join(errs...)
}

func (v *OutletDevice) driver() (outlet.Driver, error) {
	if v.Timeout < 0 || v.Within < 0 {
		return nil, errors.New("timeout and within must not be negative")
	}
	if len(v.Off.Command)+len(v.On.Command) > 0 {
		if v.Off.URL != "" || v.On.URL != "" {
			return nil, errors.New("give a url or a command, for off and on alike")
		}
		c := &outlet.Command{Off: v.Off.Command, On: v.On.Command, Timeout: time.Duration(v.Timeout)}
		return c, c.Validate()
	}
	h := &outlet.HTTP{Off: v.Off.request(), On: v.On.request(), Timeout: time.Duration(v.Timeout), Within: time.Duration(v.Within)}
	return h, h.Validate()
}

func (r *OutletRequest) request() outlet.Request {
	q := outlet.Request{Method: r.Method, URL: r.URL, Body: r.Body, ContentType: r.ContentType, Status: r.Status}
	if r.AuthorizationEnv != "" {
		q.Header = map[string]string{"Authorization": os.Getenv(r.AuthorizationEnv)}
	}
	return q
}
