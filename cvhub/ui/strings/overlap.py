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
    # descent
    "overlap_empty": (
        "Play gradient descent to see, step by step, which losses bring A to B.",
        "播放梯度下降，逐步看哪些损失能把 A 带到 B。",
    ),
    "overlap_end": ("{name} {iou}", "{name} {iou}"),
    "overlap_end_still": ("{name} {iou}, has not moved", "{name} {iou}，未曾移动"),
    "overlap_comma": ("; ", "；"),
    "overlap_curve": ("IoU of A and B", "A 与 B 的 IoU"),
    "overlap_curve_alt": (
        "IoU of A and B over the steps, a line a loss. In the end: {ends}.",
        "A 与 B 的 IoU 随步数的变化，每种损失一条线。结束时：{ends}。",
    ),
    "overlap_step": ("step", "步"),
    "overlap_pause": ("Play or pause", "播放或暂停"),
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
    "boxes_source": (
        "Everingham et al. 2010 (IoU), Rezatofighi et al. 2019 (GIoU), Zheng et al. 2020 (DIoU, CIoU)",
        "Everingham 等，2010（IoU）；Rezatofighi 等，2019（GIoU）；Zheng 等，2020（DIoU、CIoU）",
    ),
    # two masks
    "masks_title": ("Two masks", "两个掩码"),
    "masks_stage": ("Two discs in a picture of {width} × {height} pixels", "{width} × {height} 像素图片中的两个圆盘"),
    "masks_kind": ("disc", "圆盘"),
    "masks_a": ("Predicted disc A: centre [0], [1], radius [2] pixels", "预测圆盘 A：圆心 [0], [1]，半径 [2] 像素"),
    "masks_b": ("True disc B: centre [0], [1], radius [2] pixels", "真实圆盘 B：圆心 [0], [1]，半径 [2] 像素"),
    "masks_start": ("Put them", "摆放"),
    "masks_start_half": ("one over the other", "部分相叠"),
    "masks_start_apart": ("apart", "分离"),
    "masks_start_small": ("a small object, a large prediction", "小目标，大预测"),
    "masks_sureness": ("How sure A is, logits from −K to K", "A 的确信度，logits 从 −K 到 K"),
    "masks_sureness_info": (
        "K = 4: probabilities from 0.018 to 0.982, and 0.5 at A's edge.",
        "K = 4：概率从 0.018 到 0.982，A 的边缘处为 0.5。",
    ),
    "masks_soft_iou": ("Soft IoU loss", "软 IoU 损失"),
    "masks_dice": ("Dice loss", "Dice 损失"),
    "masks_bce": ("BCE", "BCE"),
    "masks_bce_dice": ("BCE + Dice", "BCE + Dice"),
    "masks_focal": ("Focal loss", "Focal 损失"),
    "masks_see_meet": (
        "A mask is not moved: each pixel is pulled by itself, up where B is and down where it is not. {bce} of BCE's "
        "gradient comes from B's pixels, of Dice's {dice}.",
        "掩码不是整体移动的：每个像素各自受到牵引，B 内向上，B 外向下。BCE 的梯度有 {bce} 来自 B 的像素，Dice 的为 "
        "{dice}。",
    ),
    "masks_see_apart": (
        "The discs don't meet, and no loss would move A as a whole. Yet every pixel has a slope of its own, so masks "
        "are not stuck where boxes are. Dice's is slight where A is sure and wrong: {dice_steep} at most, BCE's "
        "{bce_steep}.",
        "两圆盘不相交，没有损失会把 A 整体移动。但每个像素都有自己的梯度，所以掩码不像框那样停滞。在 A 确信却错误之处 "
        "Dice 的梯度很小：最大 {dice_steep}，BCE 为 {bce_steep}。",
    ),
    "masks_see_played": (
        "{steps} steps of descent on each loss, every pixel by itself. IoU of B and A, where p > ½, in the end: "
        "{ends}.",
        "对各损失下降 {steps} 步，每个像素各自更新。结束时 A（p > ½）与 B 的 IoU：{ends}。",
    ),
    "masks_played_alt": (
        "{name}: the prediction p by pixel over the steps, in the end IoU {iou}, and B.",
        "{name}：各步的逐像素预测 p，结束时 IoU 为 {iou}，以及 B。",
    ),
    "masks_rate": ("Step η of descent", "梯度下降的步长 η"),
    "masks_rate_info": (
        "For N times the loss, on each pixel's logit: where BCE is sure and wrong, a step moves it by η.",
        "作用于 N 倍损失对每个像素 logit 的梯度：BCE 确信却错误之处，一步移动 η。",
    ),
    "masks_play": ("Play gradient descent", "播放梯度下降"),
    "masks_pull": (
        "{share} of the gradient is from B's pixels; the steepest pixel: {steep} / N",
        "梯度的 {share} 来自 B 的像素；最陡的像素：{steep} / N",
    ),
    "masks_alt": (
        "{name}: which pixels should rise and which should fall; {share} of the gradient is from B's pixels.",
        "{name}：哪些像素应升高，哪些应降低；梯度的 {share} 来自 B 的像素。",
    ),
    "masks_note": (
        "One pixel of the masks is 4 × 4 of the picture's; t = 1 in B. In a loss's colour: pixels that should rise; in "
        "grey: that should fall; each map to its own steepest. Arrows: −∂L/∂centre and −∂L/∂radius, if A could only "
        "move and grow, 6 px for 0.1 per 100 px. BCE and focal are summed over B and outside it.",
        "掩码的一个像素为图片的 4 × 4 像素；B 内 t = 1。彩色：应升高的像素；灰色：应降低的像素；各图按自身最陡处归一。"
        "箭头：若 A 只能移动和缩放时的 −∂L/∂圆心 与 −∂L/∂半径，每 100 像素 0.1 画作 6 像素。BCE 与 focal 分 B 内、"
        "B 外求和。",
    ),
    "masks_source": (
        "Rahman & Wang 2016 (soft IoU), Milletari et al. 2016 (Dice), Isensee et al. 2018 (BCE + Dice), Lin et al. "
        "2017 (focal)",
        "Rahman 与 Wang，2016（软 IoU）；Milletari 等，2016（Dice）；Isensee 等，2018（BCE + Dice）；Lin 等，2017"
        "（focal）",
    ),
    # few pixels among many
    "imbalance_title": ("As the object shrinks", "当目标缩小"),
    "imbalance_found": ("How much of the object the net finds, %", "网络找到目标的多少，%"),
    "imbalance_doubt": ("Its doubt q, % at every pixel", "它的疑虑 q，每个像素处，%"),
    "imbalance_doubt_info": (
        "It gives what it takes for background p = q, what it takes for object p = 1 − q.",
        "它认为是背景的像素 p = q，认为是目标的像素 p = 1 − q。",
    ),
    "imbalance_see": (
        "The net finds {found} of the object. Where that is {least} of the picture, BCE is {bce_least} and Dice "
        "{dice_least}, and the object gives {bce_least_share} of BCE's gradient and {dice_least_share} of Dice's. "
        "Where it is {most}, BCE is {bce_most} and Dice {dice_most}, and it gives {bce_most_share} and "
        "{dice_most_share}.",
        "网络找到目标的 {found}。目标占图片 {least} 时，BCE 为 {bce_least}，Dice 为 {dice_least}，目标在 BCE 梯度中占 "
        "{bce_least_share}，在 Dice 梯度中占 {dice_least_share}。占 {most} 时，BCE 为 {bce_most}，Dice 为 {dice_most}，"
        "份额为 {bce_most_share} 和 {dice_most_share}。",
    ),
    "imbalance_across": ("object, % of the pixels", "目标占像素的比例，%"),
    "imbalance_loss": ("loss", "损失"),
    "imbalance_share": ("of the gradient from the object, %", "来自目标的梯度份额，%"),
    "imbalance_loss_alt": (
        "Losses over the object's share of the pixels: at {least} BCE is {bce_least} and Dice {dice_least}.",
        "损失随目标占比的变化：占 {least} 时 BCE 为 {bce_least}，Dice 为 {dice_least}。",
    ),
    "imbalance_share_alt": (
        "The object's part of the gradient over its share of the pixels: at {least} {bce_least_share} of BCE's and "
        "{dice_least_share} of Dice's.",
        "目标的梯度份额随其占比的变化：占 {least} 时在 BCE 中为 {bce_least_share}，在 Dice 中为 {dice_least_share}。",
    ),
    "imbalance_note": (
        "A picture of {pixels} pixels; what is found has p = {sure}, all else p = {doubt}. The part of the gradient is "
        "Σ |∂L/∂z| over the object's pixels, of that over all.",
        "一张 {pixels} 像素的图片；找到的像素 p = {sure}，其余 p = {doubt}。梯度份额为目标像素上的 Σ |∂L/∂z| 占全部像素"
        "的比例。",
    ),
    "imbalance_source": (
        "Milletari et al. 2016, section 3 (Dice for few pixels), Lin et al. 2017, section 3 (focal)",
        "Milletari 等，2016，第 3 节（Dice 与少数像素）；Lin 等，2017，第 3 节（focal）",
    ),
}
