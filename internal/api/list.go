package api

// A List is the envelope of many. Items is never null.
type List[T any] struct {
	Items []T `json:"items" nullable:"false"`
	// Next is given back as ?after= to get the following page; empty on the
	// last one.
	Next string `json:"next,omitempty" doc:"Give it back as ?after= to get the following page; absent on the last one."`
}

// NewList puts items into the envelope.
func NewList[T any](items []T, next string) List[T] {
	if items == nil {
		items = []T{}
	}
	return List[T]{Items: items, Next: next}
}
