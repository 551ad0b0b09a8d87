package ipam

import "slices"

// A stretch is the points first to last, both included.
type stretch struct{ first, last point }

// A set of points, as stretches in order that neither overlap nor touch. Most
// of what is taken was given in order and lies in few of them.
type set struct{ stretches []stretch }

// at is the index of the first stretch that ends at p or later.
func (s *set) at(p point) int {
	i, _ := slices.BinarySearchFunc(s.stretches, p, func(x stretch, p point) int { return x.last.compare(p) })
	return i
}

func (s *set) has(p point) bool {
	i := s.at(p)
	return i < len(s.stretches) && !p.less(s.stretches[i].first)
}

// add adds the points from first to last.
func (s *set) add(first, last point) {
	from := s.at(first)
	if from > 0 && s.stretches[from-1].last.next() == first {
		from--
	}
	to := from // the stretches from..to-1 become one with the new
	for to < len(s.stretches) && (!last.less(s.stretches[to].first) || last != lastPoint && last.next() == s.stretches[to].first) {
		first = least(first, s.stretches[to].first)
		last = most(last, s.stretches[to].last)
		to++
	}
	if to == from+1 {
		s.stretches[from] = stretch{first, last}
		return
	}
	s.stretches = slices.Replace(s.stretches, from, to, stretch{first, last})
}

// remove takes the points from first to last out, those that are in.
func (s *set) remove(first, last point) {
	from := s.at(first)
	to := from
	var left []stretch
	for ; to < len(s.stretches) && !last.less(s.stretches[to].first); to++ {
		old := s.stretches[to]
		if old.first.less(first) {
			left = append(left, stretch{old.first, first.previous()})
		}
		if last.less(old.last) {
			left = append(left, stretch{last.next(), old.last})
		}
	}
	s.stretches = slices.Replace(s.stretches, from, to, left...)
}

// firstOut is the first point from first to last that is not in the set.
func (s *set) firstOut(first, last point) (point, bool) {
	i := s.at(first)
	if i < len(s.stretches) && !first.less(s.stretches[i].first) {
		if !s.stretches[i].last.less(last) {
			return point{}, false
		}
		first = s.stretches[i].last.next()
	}
	return first, true
}

// within yields the parts of the set that lie from first to last, in order.
func (s *set) within(first, last point) func(yield func(stretch) bool) {
	return func(yield func(stretch) bool) {
		for i := s.at(first); i < len(s.stretches) && !last.less(s.stretches[i].first); i++ {
			if !yield(stretch{most(first, s.stretches[i].first), least(last, s.stretches[i].last)}) {
				return
			}
		}
	}
}

func least(a, b point) point {
	if b.less(a) {
		return b
	}
	return a
}

func most(a, b point) point {
	if a.less(b) {
		return b
	}
	return a
}
