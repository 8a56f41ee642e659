// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// MaxAnswer is the longest answer that is read, in bytes. A full block is 4 MB,
// in hex 8 MB, and what a template says besides of each transaction about half
// of that again.
const MaxAnswer = 24 << 20

// firstBuffer is where reading an answer begins.
const firstBuffer = 16 << 10

// Client calls one node.
type Client struct {
	endpoint Endpoint
	http     *http.Client
	id       atomic.Int64

	mu             sync.Mutex
	user, password string
	known          bool // user and password have been read
}

// NewClient makes a client. It does not connect yet; it fails if the
// certificate file cannot be read.
func NewClient(e Endpoint) (*Client, error) {
	pool, err := e.pool()
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &Client{endpoint: e, http: &http.Client{
		Transport: &http.Transport{
			// No proxy: what is submitted is money, and the node is near.
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    10 * time.Second,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        5 * time.Minute,
			MaxResponseHeaderBytes: 64 << 10,
			// A bound on bytes must bound what is unpacked.
			DisableCompression: true,
		},
		// Credentials go to the configured host only.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Endpoint that the client calls.
func (c *Client) Endpoint() Endpoint { return c.endpoint }

// Close drops idle connections. Calls under way go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Digits is a parameter that travels as one text: hex digits in pieces, so
// that a block of megabytes need not be put together first.
type Digits [][]byte

// encode writes a request as pieces. The "jsonrpc" must be a text for btcd.
func encode(id int64, method string, params []any) ([][]byte, error) {
	name, err := json.Marshal(method)
	if err != nil {
		return nil, err
	}
	pieces := [][]byte{fmt.Appendf(nil, `{"jsonrpc":"1.0","id":%d,"method":%s,"params":[`, id, name)}
	for i, p := range params {
		if i > 0 {
			pieces = append(pieces, []byte{','})
		}
		if digits, ok := p.(Digits); ok {
			pieces = append(pieces, []byte{'"'})
			pieces = append(pieces, digits...)
			pieces = append(pieces, []byte{'"'})
			continue
		}
		b, err := json.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("parameter %d: %w", i, err)
		}
		pieces = append(pieces, b)
	}
	return append(pieces, []byte("]}")), nil
}

// newRequest makes an HTTP request of pieces.
func newRequest(ctx context.Context, url string, pieces [][]byte) (*http.Request, error) {
	body := func() io.ReadCloser {
		readers := make([]io.Reader, len(pieces))
		for i, p := range pieces {
			readers[i] = bytes.NewReader(p)
		}
		return io.NopCloser(io.MultiReader(readers...))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body())
	if err != nil {
		return nil, err
	}
	req.GetBody = func() (io.ReadCloser, error) { return body(), nil }
	for _, p := range pieces {
		req.ContentLength += int64(len(p))
	}
	req.Header.Set("Content-Type", "application/json")
	return req, nil
}

type response struct {
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
	ID     json.RawMessage `json:"id"`
}

// Call calls a method and decodes its result, unless result is nil. The
// context bounds the whole call. Errors wrap *[Error] where the node said so
// itself, or one of this package's errors, or the network's.
func (c *Client) Call(ctx context.Context, method string, params []any, result any) error {
	return c.CallWritten(ctx, method, params, result, nil)
}

// CallWritten is Call, and calls written, if not nil, when the request has
// gone out whole: an error after that leaves open whether the node has acted
// on it. written may be called on another goroutine, and more than once.
func (c *Client) CallWritten(ctx context.Context, method string, params []any, result any, written func()) error {
	err := c.call(ctx, method, params, result, written)
	if errors.Is(err, ErrUnauthorized) && c.endpoint.CookieFile != "" {
		// The cookie is a new one after every start of the node.
		c.mu.Lock()
		c.known = false
		c.mu.Unlock()
		err = c.call(ctx, method, params, result, written)
	}
	if err != nil {
		return fmt.Errorf("%s of %s: %w", method, c.endpoint, err)
	}
	return nil
}

func (c *Client) call(ctx context.Context, method string, params []any, result any, written func()) error {
	user, password, err := c.login()
	if err != nil {
		return err
	}
	id := c.id.Add(1)
	pieces, err := encode(id, method, params)
	if err != nil {
		return err
	}
	if written != nil {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(i httptrace.WroteRequestInfo) {
			if i.Err == nil {
				written()
			}
		}})
	}
	req, err := newRequest(ctx, c.endpoint.URL, pieces)
	if err != nil {
		return err
	}
	if user != "" || password != "" {
		req.SetBasicAuth(user, password)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if written != nil {
		written() // an answer can overtake the news that the request is out
	}
	text, err := readBounded(res.Body, res.ContentLength)
	if err != nil {
		return err
	}
	return decode(text, res.StatusCode, id, result)
}

// login returns the credentials, read once and again when they were refused.
func (c *Client) login() (user, password string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		if c.user, c.password, err = c.endpoint.credentials(); err != nil {
			return "", "", err
		}
		c.known = true
	}
	return c.user, c.password, nil
}

func readBounded(r io.Reader, announced int64) ([]byte, error) {
	if announced > MaxAnswer {
		return nil, fmt.Errorf("%w: %d bytes announced, %d at most", ErrTooLarge, announced, MaxAnswer)
	}
	// What is announced is not believed before it has come.
	buf := bytes.NewBuffer(make([]byte, 0, firstBuffer))
	if _, err := buf.ReadFrom(io.LimitReader(r, MaxAnswer+1)); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if buf.Len() > MaxAnswer {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, MaxAnswer)
	}
	return buf.Bytes(), nil
}

// decode reads an answer: the body first, as Bitcoin Core sends errors of the
// method under other statuses than 200.
func decode(text []byte, status int, id int64, result any) error {
	var r response
	if len(bytes.TrimSpace(text)) == 0 {
		if err := statusError(status); err != nil {
			return err
		}
		return fmt.Errorf("%w (HTTP 200)", ErrEmpty)
	}
	if err := json.Unmarshal(text, &r); err != nil || r.Result == nil && r.Error == nil {
		if err := statusError(status); err != nil {
			return err
		}
		return ErrNotRPC
	}
	if e, err := decodeError(r.Error); err != nil {
		return err
	} else if e != nil {
		return e
	}
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		return statusError(status)
	}
	if got := string(bytes.TrimSpace(r.ID)); got != fmt.Sprint(id) {
		return fmt.Errorf("%w: the answer has the id %.40s, the request %d", ErrNotRPC, got, id)
	}
	if result == nil {
		return nil
	}
	if r.Result == nil {
		return fmt.Errorf("%w: there is none", ErrResult)
	}
	if err := json.Unmarshal(r.Result, result); err != nil {
		return fmt.Errorf("%w: %w", ErrResult, err)
	}
	return nil
}

// maxMessage is how much of a node's words is kept.
const maxMessage = 512

func decodeError(raw json.RawMessage) (*Error, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return nil, nil
	}
	var e struct {
		Code    int64  `json:"code"`
		Message string `json:"message"`
	}
	switch {
	case json.Unmarshal(raw, &e) == nil:
	case json.Unmarshal(raw, &e.Message) == nil: // a bare text
	default:
		return nil, fmt.Errorf("%w: the error is %.80s", ErrNotRPC, raw)
	}
	if len(e.Message) > maxMessage {
		e.Message = e.Message[:maxMessage] + "…"
	}
	return &Error{Code: e.Code, Message: e.Message}, nil
}
