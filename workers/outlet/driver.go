// SPDX-License-Identifier: Apache-2.0

package outlet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Driver switches one outlet.
type Driver interface {
	// Switch returns when the outlet is off (or on), or with the reason why
	// not. It may be called again with the same value, and must then do no
	// harm. It ends when ctx does.
	Switch(ctx context.Context, off bool) error
}

// Request is an HTTP request that switches an outlet.
type Request struct {
	// Method, default POST.
	Method string
	// URL, http or https.
	URL string
	// Body and its ContentType, both may be empty.
	Body, ContentType string
	// Header is added, for what the device wants to know of who asks.
	Header map[string]string
	// Status codes that mean success; empty means 200 to 299.
	Status []int
}

// HTTP switches an outlet by requests; each is tried again until Within is over.
type HTTP struct {
	Off, On Request
	// Timeout of one request, default 3 s; Within is how long it is tried,
	// default 8 s.
	Timeout, Within time.Duration
	// Client; nil is one that follows no redirects.
	Client *http.Client
}

// Validate reports what is wrong with the requests.
func (h *HTTP) Validate() error {
	return errors.Join(h.Off.validate("off"), h.On.validate("on"))
}

func (r *Request) validate(what string) error {
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%s: url %q must be http:// or https:// with a host", what, r.URL)
	}
	for _, s := range r.Status {
		if s < 100 || s > 599 {
			return fmt.Errorf("%s: status %d: 100 to 599", what, s)
		}
	}
	return nil
}

// Switch implements Driver.
func (h *HTTP) Switch(ctx context.Context, off bool) error {
	r := h.On
	if off {
		r = h.Off
	}
	within := h.Within
	if within == 0 {
		within = 8 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tries := 0
	var last error
	err := backoff.Retry(func() error {
		tries++
		err := h.send(ctx, &r)
		if last == nil || ctx.Err() == nil {
			last = err // that its time was over is said of the first try only: what the device answers tells more
		}
		return err
	}, backoff.WithContext(backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond),
		backoff.WithMaxInterval(time.Second), backoff.WithMaxElapsedTime(0)), ctx))
	if err != nil {
		return fmt.Errorf("%s %s: %w (%d tries)", r.method(), redacted(r.URL), errors.Join(last), tries)
	}
	return nil
}

func (r *Request) method() string {
	if r.Method == "" {
		return http.MethodPost
	}
	return r.Method
}

// redacted is a URL without what could be a secret.
func redacted(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "its URL"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// direct follows no redirects: an outlet that answers with one was not switched.
var direct = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func (h *HTTP) send(ctx context.Context, r *Request) error {
	timeout := h.Timeout
	if timeout == 0 {
		timeout = 3 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method(), r.URL, strings.NewReader(r.Body))
	if err != nil {
		return backoff.Permanent(fmt.Errorf("make the request: %w", err))
	}
	if r.ContentType != "" {
		req.Header.Set("Content-Type", r.ContentType)
	}
	for k, v := range r.Header {
		req.Header.Set(k, v)
	}
	client := h.Client
	if client == nil {
		client = direct
	}
	res, err := client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL, which may hold a password
		}
		return err
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	ok := res.StatusCode >= 200 && res.StatusCode < 300
	if len(r.Status) > 0 {
		ok = slices.Contains(r.Status, res.StatusCode)
	}
	if !ok {
		return fmt.Errorf("the device answers %s", res.Status)
	}
	return nil
}

// Command switches an outlet by a program, started directly, never by a shell.
type Command struct {
	// Off and On are the program and its arguments.
	Off, On []string
	// Timeout of one run, default 8 s; the program is killed then.
	Timeout time.Duration
}

// Validate reports what is wrong with the commands.
func (c *Command) Validate() error {
	if len(c.Off) == 0 || len(c.On) == 0 || c.Off[0] == "" || c.On[0] == "" {
		return errors.New("name the program and its arguments, for off and for on")
	}
	return nil
}

// maxOutput of a program that an error quotes.
const maxOutput = 200

// Switch implements Driver.
func (c *Command) Switch(ctx context.Context, off bool) error {
	argv := c.On
	if off {
		argv = c.Off
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = 8 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if out = bytes.TrimSpace(out); len(out) > maxOutput {
		out = out[len(out)-maxOutput:]
	}
	return fmt.Errorf("%s: %w: %s", argv[0], err, out)
}
