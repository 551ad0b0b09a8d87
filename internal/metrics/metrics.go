// Package metrics names every metric, and serves them with a daemon's health.
package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/nicferry/nicferry/nic"
)

// The kinds of metric, in Prometheus' words.
const (
	Counter   = "counter"
	Gauge     = "gauge"
	Histogram = "histogram"
)

// A Metric is one name that a daemon serves.
type Metric struct {
	Name string
	Kind string // Counter, Gauge or Histogram
	// Labels are the names of its labels, in order.
	Labels []string
	Help   string
}

// Build says which build a daemon is.
type Build struct{ Version, Commit, Go string }

// A set makes the metrics of one daemon and keeps their names. Each is either
// counted here, or gathered when somebody asks.
type set struct {
	registry *prometheus.Registry
	metrics  []Metric
}

func newSet(b Build) *set {
	s := &set{registry: prometheus.NewRegistry()}
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.gauge("nicferry_build_info", "Always 1; the labels say which build this is.", "version", "commit", "go").
		WithLabelValues(clean(b.Version), clean(b.Commit), clean(b.Go)).Set(1)
	return s
}

func (s *set) name(kind, name, help string, labels []string) {
	s.metrics = append(s.metrics, Metric{Name: name, Kind: kind, Labels: labels, Help: help})
}

func (s *set) counter(name, help string, labels ...string) *prometheus.CounterVec {
	s.name(Counter, name, help, labels)
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	s.registry.MustRegister(v)
	return v
}

func (s *set) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	s.name(Gauge, name, help, labels)
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	s.registry.MustRegister(v)
	return v
}

func (s *set) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	s.name(Histogram, name, help, labels)
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	s.registry.MustRegister(v)
	return v
}

// gathered names a metric whose values somebody else keeps.
func (s *set) gathered(kind, name, help string, labels ...string) *prometheus.Desc {
	s.name(kind, name, help, labels)
	return prometheus.NewDesc(name, help, labels, nil)
}

// asked registers metrics that are gathered whenever somebody asks.
func (s *set) asked(gather func(send chan<- prometheus.Metric), descs ...*prometheus.Desc) {
	s.registry.MustRegister(gatherer{descs, gather})
}

// A gatherer is a prometheus.Collector out of a function.
type gatherer struct {
	descs  []*prometheus.Desc
	gather func(chan<- prometheus.Metric)
}

// Describe implements prometheus.Collector.
func (g gatherer) Describe(send chan<- *prometheus.Desc) {
	for _, d := range g.descs {
		send <- d
	}
}

// Collect implements prometheus.Collector.
func (g gatherer) Collect(send chan<- prometheus.Metric) { g.gather(send) }

// gaugeOf and counterOf are one value each of what was gathered.
func gaugeOf(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func counterOf(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, value, labels...)
}

// maxLabel bounds a label's value, in bytes. No name of ours is longer.
const maxLabel = 63

// clean is a label's value: whatever it was, it is short and UTF-8, without
// which the whole page would be refused.
func clean(value string) string {
	return strings.ToValidUTF8(value[:min(len(value), maxLabel)], "?")
}

// other stands for every name that is not in the config. People may ask for
// networks that do not exist, each of another name, and every name is a series.
const other = "other"

// known says which names of the config may be labels.
type known map[string]bool

func knownOf(names []string) known {
	k := known{}
	for _, name := range names {
		k[name] = true
	}
	return k
}

func (k known) label(name string) string {
	if !k[name] || nic.CheckName("label", name) != nil {
		return other
	}
	return name
}
