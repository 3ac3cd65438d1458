"""The strings of the view "Overlap": boxes, masks, and few pixels among many."""

OVERLAP: dict[str, tuple[str, str]] = {
    "part_overlap": ("Overlap", "重叠"),
    "overlap_failed": (
        "The numbers could not be computed ({kind}); the server's log has the details.",
        "无法计算这些数值（{kind}），详情见服务器日志。",
    ),
    "overlap_keys": (
        "Drag a shape or a corner. By keyboard: Tab to a shape, arrows move it, Shift and arrows change its size.",
        "拖动图形或其角点。键盘操作：Tab 选中图形，方向键移动，Shift 加方向键改变大小。",
    ),
    # two boxes
    "boxes_title": ("Two boxes", "两个框"),
    "boxes_stage": ("Two boxes in a picture of {width} × {height} pixels", "{width} × {height} 像素图片中的两个框"),
    "boxes_kind": ("box", "框"),
    "boxes_a": (
        "Predicted box A: left [0], top [1], right [2], bottom [3] pixels",
        "预测框 A：左 [0]，上 [1]，右 [2]，下 [3] 像素",
    ),
    "boxes_b": (
        "True box B: left [0], top [1], right [2], bottom [3] pixels",
        "真实框 B：左 [0]，上 [1]，右 [2]，下 [3] 像素",
    ),
    "boxes_start": ("Put them", "摆放"),
    "boxes_start_apart": ("apart", "分离"),
    "boxes_start_beside": ("side by side, IoU ⅓", "并排，IoU ⅓"),
    "boxes_start_corner": ("corner on corner, IoU ⅓", "角与角相叠，IoU ⅓"),
    "boxes_start_crossed": ("crossed, IoU ⅓", "十字交叉，IoU ⅓"),
    "boxes_start_within": ("one within the other", "一个在另一个之内"),
    "boxes_rate": ("First step η of descent", "梯度下降的初始步长 η"),
    "boxes_rate_info": (
        "In picture widths of 400 px; it falls to 0 over 100 steps. Momentum 0.8.",
        "以图片宽度 400 像素为单位，在 100 步内降到 0；动量 0.8。",
    ),
    "boxes_play": ("Play gradient descent", "播放梯度下降"),
    "boxes_see_apart": (
        "The boxes don't meet, so IoU and Dice are 0 wherever A lies: no gradient, nothing leads A to B. GIoU "
        "({giou}), DIoU ({diou}) and CIoU ({ciou}) still pull.",
        "两框不相交，无论 A 在何处 IoU 与 Dice 都为 0：没有梯度，A 不知该往哪里去。GIoU（{giou}）、DIoU（{diou}）"
        "与 CIoU（{ciou}）仍有牵引。",
    ),
    "boxes_see_within": (
        "One box holds the other, so C is that box and GIoU equals IoU ({iou}), which is the same wherever the inner "
        "box lies. DIoU ({diou}) sees that the centres are {apart} px apart.",
        "一个框包含另一个，C 即外框，GIoU 等于 IoU（{iou}），与内框的位置无关。DIoU（{diou}）则看到两中心相距 {apart} "
        "像素。",
    ),
    "boxes_see_overlap": (
        "IoU is {iou}. GIoU takes off {empty} for the part of C that neither box fills, DIoU {distance} for the "
        "centres' distance of {apart} px, CIoU another {shape} for the shapes.",
        "IoU 为 {iou}。GIoU 因 C 中两框都未占的部分减去 {empty}，DIoU 因中心距离 {apart} 像素减去 {distance}，"
        "CIoU 再因形状减去 {shape}。",
    ),
    "boxes_see_equal": ("A is B: every measure is 1.", "A 与 B 重合：所有度量均为 1。"),
    "boxes_see_played": (
        "{steps} steps of descent on each loss from the same start. IoU of A and B in the end: {ends}.",
        "从同一起点对各损失下降 {steps} 步。结束时 A 与 B 的 IoU：{ends}。",
    ),
    "boxes_end": ("{name} {iou}", "{name} {iou}"),
    "boxes_end_still": ("{name} {iou}, has not moved", "{name} {iou}，未曾移动"),
    "boxes_comma": ("; ", "；"),
    "boxes_gradient": (", per 100 px", "，每 100 像素"),
    "boxes_still": ("0, no gradient", "0，没有梯度"),
    "boxes_alt": (
        "{name}: A, B, and by arrows where the loss would move A's sides and centre. Gradient of left, top, right, "
        "bottom per 100 px: {gradient}.",
        "{name}：A、B，箭头为损失推动 A 的边与中心的方向。左、上、右、下的梯度（每 100 像素）：{gradient}。",
    ),
    "boxes_played_alt": (
        "{name}: A on its way from its start to IoU {iou}, and B.",
        "{name}：A 从起点走到 IoU {iou} 的路径，以及 B。",
    ),
    "boxes_note": (
        "A is predicted, B the truth; areas in px². Arrows are −∂L/∂side and, thicker, −∂L/∂centre of L = 1 − measure: "
        "{length} px for 0.1 per 100 px. C is the smallest box around both, c its diagonal, ρ the centres' distance, "
        "v = 4/π² (arctan w/h of B − that of A)², α = v / (1 − IoU + v).",
        "A 为预测框，B 为真实框；面积单位为像素²。箭头为 −∂L/∂边，较粗的为 −∂L/∂中心，L = 1 − 度量：每 100 像素 0.1 "
        "的梯度画作 {length} 像素。C 为包住两框的最小框，c 为其对角线，ρ 为中心距离，v = 4/π² (B 与 A 的 arctan w/h "
        "之差)²，α = v / (1 − IoU + v)。",
    ),
    "boxes_empty": (
        "Play gradient descent to see, step by step, which losses bring A to B.",
        "播放梯度下降，逐步看哪些损失能把 A 带到 B。",
    ),
    "boxes_curve": ("IoU of A and B", "A 与 B 的 IoU"),
    "boxes_curve_across": ("step", "步"),
    "boxes_curve_alt": (
        "IoU of A and B over the steps, a line a loss. In the end: {ends}.",
        "A 与 B 的 IoU 随步数的变化，每种损失一条线。结束时：{ends}。",
    ),
    "boxes_steps": ("Step", "步"),
    "boxes_pause": ("Play or pause", "播放或暂停"),
    "boxes_source": (
        "Everingham et al. 2010 (IoU), Rezatofighi et al. 2019 (GIoU), Zheng et al. 2020 (DIoU, CIoU)",
        "Everingham 等，2010（IoU）；Rezatofighi 等，2019（GIoU）；Zheng 等，2020（DIoU、CIoU）",
    ),
}
