// Package traffic reads what the programs say that send traffic for a bench.
package traffic

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Datagrams are what an iperf3 sent as UDP.
type Datagrams struct {
	Seconds       float64 // more than 0
	Packets, Lost int64
}

// Sent is how many packets per second there were.
func (d Datagrams) Sent() int64 { return d.per(d.Packets) }

// Got is how many of them per second arrived.
func (d Datagrams) Got() int64 { return d.per(d.Packets - d.Lost) }

// LostPPM is how many of a million packets did not arrive.
func (d Datagrams) LostPPM() int64 { return d.Lost * 1e6 / max(d.Packets, 1) }

func (d Datagrams) per(n int64) int64 { return int64(float64(n) / d.Seconds) }

// summary is what is of use of iperf3's JSON.
type summary struct {
	Error string `json:"error"`
	End   struct {
		Sum struct {
			Seconds float64 `json:"seconds"`
			Packets int64   `json:"packets"`
			Lost    int64   `json:"lost_packets"`
		} `json:"sum"`
		Received struct {
			Bits float64 `json:"bits_per_second"`
		} `json:"sum_received"`
	} `json:"end"`
}

func parse(out []byte, err error) (summary, error) {
	var s summary
	if jsonErr := json.Unmarshal(out, &s); jsonErr != nil {
		return s, errors.Join(err, fmt.Errorf("read iperf3's JSON: %w", jsonErr))
	}
	if s.Error != "" {
		return s, errors.New("iperf3: " + s.Error)
	}
	return s, err
}

// UDP reads the JSON of an iperf3 -u, which ended with err.
func UDP(out []byte, err error) (Datagrams, error) {
	s, err := parse(out, err)
	if err == nil && (s.End.Sum.Seconds <= 0 || s.End.Sum.Packets == 0) {
		err = errors.New("iperf3 sent nothing")
	}
	if err != nil {
		return Datagrams{Seconds: 1}, err
	}
	return Datagrams{Seconds: s.End.Sum.Seconds, Packets: s.End.Sum.Packets, Lost: s.End.Sum.Lost}, nil
}

// TCP reads the JSON of an iperf3 that ended with err, and returns kbit/s, as received.
func TCP(out []byte, err error) (int64, error) {
	s, err := parse(out, err)
	return int64(s.End.Received.Bits / 1000), err
}

var rate = regexp.MustCompile(`Message Rate is ([0-9]+) `)

// Rates are how many messages per second each sockperf has sent that says so.
func Rates(out string) (all []int64) {
	for _, m := range rate.FindAllStringSubmatch(out, -1) {
		if v, err := strconv.ParseInt(m[1], 10, 64); err == nil {
			all = append(all, v)
		}
	}
	return all
}

var percentile = regexp.MustCompile(`percentile (50|99)\.000 = +([0-9.]+)`)

// RTT reads what a sockperf ping-pong says that ended with err, and returns microseconds
// at p50 and p99.
func RTT(out string, err error) (middle, slow int64, _ error) {
	if err != nil {
		return 0, 0, err
	}
	for _, m := range percentile.FindAllStringSubmatch(out, -1) {
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return 0, 0, fmt.Errorf("read what sockperf says: %w", err)
		}
		if m[1] == "50" {
			middle = int64(v)
		} else {
			slow = int64(v)
		}
	}
	if middle == 0 || slow == 0 {
		return 0, 0, fmt.Errorf("sockperf told no percentiles: %s", strings.TrimSpace(out))
	}
	return middle, slow, nil
}
