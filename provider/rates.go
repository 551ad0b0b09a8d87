package provider

// A Rate is how often a verb may be called, as a bucket: Burst calls at once,
// and PerSecond over time. The zero Rate is not known.
type Rate struct {
	Burst     int
	PerSecond float64
}

// Rates are those of the verbs that change something. What is not known is
// learnt from ErrThrottled.
type Rates struct{ Create, Attach, Detach, Delete Rate }
