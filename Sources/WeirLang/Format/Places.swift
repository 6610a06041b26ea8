/// Where the elements of lists stand, from their first to their last byte: the trees hold the places of their parts.
extension ImportedName { var whole: Span { name.span.through(local.span) } }
extension FieldType { var whole: Span { name.span.through(type.span) } }
extension FieldPattern { var whole: Span { name.span.through(pattern.span) } }
extension MapEntry { var whole: Span { key.span.through(value.span) } }
extension Argument { var whole: Span { (label?.span ?? value.span).through(value.span) } }
extension Field { var whole: Span { name.span.through(value.span) } }
