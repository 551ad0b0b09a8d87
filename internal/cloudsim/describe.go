package cloudsim

// A Describe asks for resources.
type Describe struct {
	// IDs are those asked for; any that is missing fails the whole call.
	IDs []string
	// Filters must all match.
	Filters []Filter
	// MaxResults is the size of a page, 5 to 1000; 0 is all at once. Not
	// together with IDs.
	MaxResults int
	// NextToken is where the last page ended.
	NextToken string
}

// A Filter matches what has one of the values, in which * and ? stand for any
// characters, and \ takes that from the one after it.
type Filter struct {
	Name   string
	Values []string
}

// A Page is a part of what was asked for.
type Page[T any] struct {
	Items []T
	// NextToken asks for the next one; empty at the end.
	NextToken string
}
