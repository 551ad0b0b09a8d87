//go:build linux

package vfbench

import (
	"slices"

	"github.com/nicferry/nicferry/internal/lab/traffic"
)

// A figure is one of the paper's: five paths, by sizes.
type figure struct {
	title, unit, note string
	file              string // of its plot
	// shown is what unit is called in reports. A ratio says nothing of what may be 0.
	shown    string
	noRatios bool
	sizes    []size
	read     func(out []byte, err error) (int64, error)
}

// A size is what is sent, and the command that sends it to toServer.
type size struct {
	name string
	args []string
}

// measure is the size's name in the file of figures.
func (f figure) measure(s size) string { return f.title + ", " + s.name }

// toServer stands for the server's address in a command.
const toServer = "SERVER"

// command is the size's for a server.
func (s size) command(server string) []string {
	args := slices.Clone(s.args)
	args[slices.Index(args, toServer)] = server
	return args
}

// plots are the paper's figures 2 to 4.
func plots() []figure {
	return []figure{
		{
			title: "TCP throughput", unit: "kbit/s", shown: "Mbit/s", file: "bench-sriov-tcp.svg",
			note: "iperf3 for 2 s, by the size of its writes; as the server has received it.",
			sizes: []size{
				{"1 KiB", []string{"iperf3", "-c", toServer, "-J", "-t", "2", "-l", "1K"}},
				{"8 KiB", []string{"iperf3", "-c", toServer, "-J", "-t", "2", "-l", "8K"}},
				{"80 KiB", []string{"iperf3", "-c", toServer, "-J", "-t", "2", "-l", "80K"}},
			},
			read: traffic.TCP,
		},
		{
			title: "UDP latency", unit: "us", shown: "ms", file: "bench-sriov-latency.svg",
			note: "sockperf ping-pong for 1 s, round trip at p50, by the size of its messages. Above some 1.4 KiB a message is several frames.",
			sizes: []size{
				{"1 KiB", []string{"sockperf", "ping-pong", "-i", toServer, "-p", "11111", "-t", "1", "--msg-size", "1024", "--full-rtt"}},
				{"8 KiB", []string{"sockperf", "ping-pong", "-i", toServer, "-p", "11111", "-t", "1", "--msg-size", "8192", "--full-rtt"}},
				{"32 KiB", []string{"sockperf", "ping-pong", "-i", toServer, "-p", "11111", "-t", "1", "--msg-size", "32768", "--full-rtt"}},
			},
			read: func(out []byte, err error) (int64, error) {
				middle, _, err := traffic.RTT(string(out), err)
				return middle, err
			},
		},
		{
			title: "UDP loss", unit: "ppm", shown: "%", file: "bench-sriov-loss.svg", noRatios: true,
			note: "iperf3 for 1 s, datagrams of 1 KiB: what of those that the client sent the server did not get.",
			sizes: []size{
				{"10 Mbit/s", []string{"iperf3", "-c", toServer, "-J", "-u", "-t", "1", "-l", "1K", "-b", "10M"}},
				{"as fast as it can", []string{"iperf3", "-c", toServer, "-J", "-u", "-t", "1", "-l", "1K", "-b", "0"}},
			},
			read: func(out []byte, err error) (int64, error) {
				d, err := traffic.UDP(out, err)
				return d.LostPPM(), err
			},
		},
	}
}
