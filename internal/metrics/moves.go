package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// moves are what is counted of containers on their way to other nodes.
type moves struct {
	ended   *prometheus.CounterVec
	steps   *prometheus.HistogramVec
	silence *prometheus.HistogramVec
	bytes   *prometheus.CounterVec
}

func newMoves(s *set) *moves {
	return &moves{
		ended:   s.counter("nicferry_moves_total", "Moves that have ended, or cannot go on without an operator: done, undone, parked.", "result"),
		steps:   s.histogram("nicferry_move_step_seconds", "Time that steps of moves took, by what they came to: ok, failed, or undone, which is the way back. Each try counts.", longTimes(), "step", "result"),
		silence: s.histogram("nicferry_move_silence_seconds", "Time in which a container that has moved answered nobody, from the order to stop it to the report that its NIC is in at the other node.", longTimes()),
		bytes:   s.counter("nicferry_move_bytes_total", "Bytes that went from node to node through the controller, by what they are: config, image, volume, layer.", "what"),
	}
}

// Moved notes a move that has ended, or was parked.
func (c *Controller) Moved(result string) { c.moves.ended.WithLabelValues(clean(result)).Inc() }

// MoveStepped notes a try of a move's step.
func (c *Controller) MoveStepped(step, result string, took time.Duration) {
	c.moves.steps.WithLabelValues(clean(step), clean(result)).Observe(took.Seconds())
}

// MoveSilent notes how long a container that has moved answered nobody.
func (c *Controller) MoveSilent(took time.Duration) {
	c.moves.silence.WithLabelValues().Observe(took.Seconds())
}

// MoveCopied notes bytes that went from node to node.
func (c *Controller) MoveCopied(what string, bytes int64) {
	c.moves.bytes.WithLabelValues(clean(what)).Add(float64(max(0, bytes)))
}
