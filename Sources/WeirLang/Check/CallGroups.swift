/// Orders definitions so that each comes after what it uses; those that use each other form one group.
///
/// Tarjan's strongly connected components, with its own stack: a chain of ten thousand functions is no deep recursion.
enum CallGroups {
  /// `uses[i]` lists what definition i mentions. Groups come out in dependency order, members in written order.
  static func order(_ uses: [[Int]]) -> [[Int]] {
    var index = [Int](repeating: -1, count: uses.count)
    var low = [Int](repeating: 0, count: uses.count)
    var onStack = [Bool](repeating: false, count: uses.count)
    var stack: [Int] = []
    var groups: [[Int]] = []
    var next = 0

    for root in uses.indices where index[root] < 0 {
      var work: [(node: Int, edge: Int)] = [(root, 0)]
      while let (node, edge) = work.last {
        if edge == 0 {
          index[node] = next
          low[node] = next
          next += 1
          stack.append(node)
          onStack[node] = true
        }
        if edge < uses[node].count {
          work[work.count - 1].edge += 1
          let target = uses[node][edge]
          if index[target] < 0 {
            work.append((target, 0))
          } else if onStack[target] {
            low[node] = min(low[node], index[target])
          }
          continue
        }
        if low[node] == index[node] {
          var group: [Int] = []
          while let member = stack.popLast() {
            onStack[member] = false
            group.append(member)
            if member == node { break }
          }
          groups.append(group.sorted())
        }
        work.removeLast()
        if let parent = work.last?.node { low[parent] = min(low[parent], low[node]) }
      }
    }
    return groups
  }
}
